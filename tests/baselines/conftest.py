from __future__ import annotations

import pytest
from baselines_world import MODELS, Tensors, World
from safetensors.torch import load_file


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("baselines"))


@pytest.fixture(scope="module")
def models(world: World) -> dict[str, Tensors]:
    return {name: load_file(world.root / name / "model.safetensors") for name in MODELS}
