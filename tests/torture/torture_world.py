"""A folder with tiny models, adapters, statistics and recipes, and the five commands tortured there."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import multiprocessing
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

COMMANDS = ("fisher", "yaml", "lora", "experiment", "push")
OUT = "out"
_TEMPORARY = re.compile(r"(^|/)\.[^/]*\.(partial|old|lora-cache)-\d+")
SIZES = {
    "beavertails": {"train_samples": 8, "eval_samples": 6, "batch_size": 64},
    "mmlu": {"subjects": None, "max_samples": 6, "batch_size": 64},
    "humaneval": {"max_samples": 4, "batch_size": 64},
}


@dataclass(frozen=True)
class World:
    """Inputs in ``root``; what commands write goes to ``place``, a folder of its own."""

    root: Path

    @property
    def place(self) -> Path:
        return self.root / "place"

    @property
    def out(self) -> Path:
        return self.place / OUT

    def words(self, command: str) -> list[str]:
        """Return the words of a command that writes to `out` (`push` sends the model ``merged``)."""
        root, out = self.root, str(self.out)
        if command == "fisher":
            return ["fisher", "--model", f"{root}/utility", "--data", f"{root}/data.jsonl", "--out", out]
        if command == "yaml":
            return ["yaml", f"{root}/full.yml", out]
        if command == "lora":
            return ["lora", f"{root}/adapters.yml", out]
        if command == "push":
            return ["push", f"{root}/merged", "user/merged"]
        words = ["experiment", "--config", f"{root}/small.yml", "--experiment", "exp1", "--seeds", "1"]
        return [*words, "--out", out, "--workers", "1", "--quiet"]

    def setup(self, command: str) -> str | None:
        return "torture_world:shrink" if command == "experiment" else None

    def clear(self) -> None:
        """Make `place` an empty folder."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir()


def shrink() -> None:
    """Make the experiments' world too small to learn anything; its workers are forks of this process."""
    from sst_mergekit.testbeds.tiny import sizes as tiny
    from sst_mergekit.testbeds.tiny.world import QUICK

    steps = {"base_steps": 2, "utility_steps": 2, "safety_steps": 2}
    small = {"width": 16, "layers": 1, "look_alikes": 4, "calibration_rows": 8}
    tiny.FULL = dataclasses.replace(QUICK, **steps, **small)
    multiprocessing.get_context = functools.partial(_forked, multiprocessing.get_context)


def _forked(real, _method=None):
    return real("fork")


def build(root: Path) -> World:
    """Return a new world in `root`."""
    from tiny import tiny_adapter, tiny_data, tiny_llama, tiny_statistics

    root.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(("base", "utility", "safety", "merged")):
        tiny_llama(root / name, seed)
    (root / "merged" / "README.md").write_text("# Merged\n")
    data = tiny_data(root / "data.jsonl")
    for seed, name in enumerate(("skill", "guard"), 5):
        tiny_adapter(root / name, root / "base", seed)
        tiny_statistics(root / f"fisher-{name}", root / "base", data, adapter=root / name)
    tiny_statistics(root / "fisher-utility", root / "utility", data)
    _write(root / "full.yml", _recipe(root, f"{root}/utility", "fisher-utility"))
    _write(root / "adapters.yml", _recipe(root, f"{root}/base+{root}/skill", "fisher-skill"))
    _write(root / "ties.yml", _weighted(_recipe(root, f"{root}/utility", "fisher-utility")))
    _write(root / "small.yml", _experiments())
    world = World(root)
    world.clear()
    return world


def _recipe(root: Path, utility: str, fisher: str) -> dict:
    models = (utility, "utility", fisher), (f"{root}/base+{root}/guard", "safety", "fisher-guard")
    return {
        "merge_method": "sst",
        "base_model": f"{root}/base",
        "models": [
            {"model": model, "parameters": {"role": role, "fisher": f"{root}/{name}"}}
            for model, role, name in models
        ],
        "dtype": "float32",
    }


def _weighted(recipe: dict) -> dict:
    """Return the recipe as one of TIES."""
    for item in recipe["models"]:
        item["parameters"] = {"weight": 1.0, "density": 0.5}
    return recipe | {"merge_method": "ties"}


def _experiments() -> dict:
    from sst_mergekit.resources import recipes_path

    body = yaml.safe_load((recipes_path() / "experiments" / "experiments.yml").read_text())
    body["models"]["tiny-world"]["datasets"]["minimal"] = SIZES
    body["experiments"]["exp3_baseline"]["minimal"] = {"methods": ["TA", "SST-Merge"], "budget": 4}
    return body


def _write(path: Path, body: dict) -> None:
    path.write_text(yaml.safe_dump(body, sort_keys=False))


def tree(folder: Path) -> dict[str, str]:
    """Return relative name -> SHA-256 of all files in a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(below(folder))
        if path.is_file()
    }


def below(folder: Path) -> Iterator[Path]:
    """Yield what is in a folder, whatever workers whose parent was killed remove meanwhile."""
    for root, folders, files in os.walk(folder):
        yield from (Path(root, name) for name in folders + files)


def results(command: str, place: Path) -> dict[str, str]:
    """Return what of a command's output must be the same in every run: no times and logs of experiments.

    Temporary files, which a killed process leaves and nothing reads, are not part of it.
    """
    found = {name: digest for name, digest in tree(place).items() if not _TEMPORARY.search(name)}
    if command != "experiment":
        return found
    return {n: digest for n, digest in found.items() if "/result/" in n or "_results_" in n}


def remains(place: Path) -> list[str]:
    """Return temporary files and folders in a place."""
    hidden = (path for path in below(place) if path.name.startswith("."))
    return sorted(path.relative_to(place).as_posix() for path in hidden if "eval_results" not in path.name)


def locked(place: Path) -> list[str]:
    """Return files and folders in a place on which a lock is held."""
    import fcntl

    held = []
    for path in [place, *below(place)]:
        if path.is_symlink():
            continue
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:  # removed meanwhile by a worker whose parent was killed
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            held.append(str(path))
        finally:
            os.close(descriptor)
    return held
