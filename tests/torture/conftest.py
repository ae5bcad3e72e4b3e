from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "sharing"))  # its Hub on loopback

from nursery import Nursery  # noqa: E402
from torture_world import World, build  # noqa: E402


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build(tmp_path_factory.mktemp("torture"))


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory):
    with Nursery(tmp_path_factory.mktemp("nursery")) as found:
        yield found
