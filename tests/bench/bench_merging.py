"""What `merge_method: sst` costs beside mergekit's own methods: three bfloat16 Llamas of 140 M, one thread.

Each merge is a process of its own and charged from the reading of the recipe to the last file, imports apart.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import timed_merges
from made_models import M140, adapter, checkpoint, linear_shapes
from made_statistics import statistics
from report import Report
from turns import in_turn

from sst_mergekit.merging.recipe import fold_adapter

RUNS, SECTION = 3, "Merging"
OWN = {"weight": 1.0}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder with base, utility and safety; removed afterwards."""
    folder = tmp_path_factory.mktemp("merging")
    base = checkpoint(folder / "base", M140, 0)
    for seed, name in enumerate(("utility", "safety"), 1):
        checkpoint(folder / name, M140, seed, base)
    yield folder
    shutil.rmtree(folder)


def _statistics(world: Path, kind: str) -> list[dict[str, str]]:
    """Return the parameters of both experts, with statistics of a kind, made if they are not there."""
    for seed, role in enumerate(("utility", "safety"), 1):
        if not (world / f"{kind}-{role}").is_dir():
            statistics(world / f"{kind}-{role}", M140, kind, seed)
    return [{"role": role, "fisher": str(world / f"{kind}-{role}")} for role in ("utility", "safety")]


def _sst(world: Path, name: str, safety: Path | str, kind: str) -> Path:
    own = _statistics(world, kind)
    experts = [(world / "utility", own[0]), (safety, own[1])]
    shared = {"geometry": kind, "on_missing": "keep"}  # the norms have no statistics
    return timed_merges.recipe(world / f"{name}.yml", "sst", world / "base", experts, **shared)


def _host(world: Path, name: str, method: str, safety: Path | str, **own: float) -> Path:
    experts = [(world / "utility", OWN | own), (safety, OWN | own)]
    return timed_merges.recipe(world / f"{name}.yml", method, world / "base", experts)


@pytest.mark.bench
def test_diagonal(report: Report, world: Path) -> None:
    recipes = {
        "sst": _sst(world, "diagonal", world / "safety", "diagonal"),
        "task_arithmetic": _host(world, "plain", "task_arithmetic", world / "safety"),
        "ties": _host(world, "ties", "ties", world / "safety", density=0.5),
    }
    sides = {name: timed_merges.side(path, world / "cache") for name, path in recipes.items()}
    runs = in_turn(sides, RUNS)
    name = "sst, diagonal, against"
    found = report.ratio(SECTION, f"{name} task_arithmetic", runs, "sst", "task_arithmetic", at_most=1.5)
    report.ratio(SECTION, f"{name} ties", runs, "sst", "ties", at_most=0.5)
    for quantity in ("peak", "growth"):
        told = f"{name} task_arithmetic: {quantity} of memory"
        report.ratio(SECTION, told, runs, "sst", "task_arithmetic", quantity, at_most=1.15)
    if found > 1.5:
        report.profile(SECTION, "sst, diagonal", sides["sst"])


@pytest.mark.bench
def test_kronecker_full_patches(report: Report, world: Path) -> None:
    _kronecker(report, world, "full patches", world / "safety")


@pytest.mark.bench
def test_kronecker_lora_patches(report: Report, world: Path) -> None:
    shapes = linear_shapes(M140)
    lora = adapter(world / "adapter", str(world / "base"), shapes, 3)
    reference = f"{world / 'base'}+{lora}"
    fold_adapter(reference, world / "cache")
    _kronecker(report, world, "patches of a LoRA of rank 16 (folded before)", reference)


def _kronecker(report: Report, world: Path, patches: str, safety: Path | str) -> None:
    recipes = {
        "sst": _sst(world, "kronecker", safety, "kronecker"),
        "task_arithmetic": _host(world, "plain", "task_arithmetic", safety),
    }
    sides = {name: timed_merges.side(path, world / "cache") for name, path in recipes.items()}
    runs = in_turn(sides, RUNS)
    name = f"sst, Kronecker, {patches}, against task_arithmetic"
    found = report.ratio(SECTION, name, runs, "sst", "task_arithmetic", at_most=4)
    report.ratio(SECTION, f"{name}: peak of memory", runs, "sst", "task_arithmetic", "peak")
    if found > 4:
        report.profile(SECTION, f"sst, Kronecker, {patches}", sides["sst"])
