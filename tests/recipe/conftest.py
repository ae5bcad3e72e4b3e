from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from recipe_world import World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture
def copies(world: World, tmp_path: Path) -> World:
    """Return a world whose files may be changed or damaged."""
    other = World.__new__(World)
    other.root = Path(shutil.copytree(world.root, tmp_path / "copies"))
    return other
