"""Worlds of the tiny testbed, made for tests."""

from __future__ import annotations

from pathlib import Path

from sst_mergekit.jobs.store import Store
from sst_mergekit.jobs.unit import with_parents
from sst_mergekit.testbeds.tiny.testbed import TinyWorld
from sst_mergekit.testbeds.tiny.world import QUICK, WorldSize

WORLD = TinyWorld(42, QUICK, 128)


def made(root: Path, size: WorldSize, seed: int = 0, samples: int = 128) -> dict[str, Path]:
    """Return the data and models of a world, made in this process."""
    world, store = TinyWorld(seed, size, samples), Store(root)
    names = ["data", "base", "utility", "safety"] + ["aligned"] * size.drifted
    for layer in with_parents([world.unit(name) for name in names]):
        for unit in layer:
            store.make(unit)
    return {name: store.path(world.unit(name)) for name in names}
