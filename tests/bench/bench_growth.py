"""How cost grows: a merge with the model's size, statistics with samples and with the length of a sequence.

The largest model has 400 M parameters (140 M with Kronecker statistics, to save time); only matrices of the
decoder have statistics.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import timed_merges
import turns
import usage
from made_models import checkpoint, sized
from made_statistics import statistics
from report import Report
from tiny import tiny_llama

MILLIONS = (10, 35, 140, 400)
SAMPLES, LENGTHS = (64, 128, 256, 512, 1024), (32, 64, 128, 256, 512)
KINDS = ("kronecker", "diagonal")
KRONECKER = "sst, Kronecker"
MEASURED = {
    "hidden_size": 128,
    "intermediate_size": 352,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 1024,
}
COMMAND = Path(__file__).with_name("command.py")


@pytest.mark.bench
def test_merge_by_model_size(report: Report, tmp_path: Path) -> None:
    found: dict[str, list[float]] = {"task_arithmetic": [], "sst, diagonal": [], KRONECKER: []}
    parameters = []
    for millions in MILLIONS:
        folder = tmp_path / str(millions)
        parameters.append(_models(folder, sized(millions)))
        for name in found:
            if name != KRONECKER or millions < MILLIONS[-1]:
                found[name].append(_merged(folder, sized(millions), name))
        shutil.rmtree(folder)
    cubic = {KRONECKER: found.pop(KRONECKER)}
    report.growth("Growth", "merge by model size", "parameters", parameters, found, at_most=1.05)
    report.growth("Growth", "Kronecker merge by model size", "parameters", parameters[:-1], cubic)
    report.note(
        "Growth",
        "Kronecker: a layer's solves cost the cube of its width, so a wider model costs more a parameter; "
        "with depth alone the cost is linear.",
    )


def _models(folder: Path, sizes: Mapping) -> int:
    """Make base, utility and safety, and return the number of parameters."""
    base = checkpoint(folder / "base", sizes, 0)
    for seed, name in enumerate(("utility", "safety"), 1):
        checkpoint(folder / name, sizes, seed, base)
    return (base / "model.safetensors").stat().st_size // 2


def _merged(folder: Path, sizes: Mapping, name: str) -> float:
    """Return the CPU seconds of one merge."""
    roles = ("utility", "safety")
    if name == "task_arithmetic":
        experts = [(folder / role, {"weight": 1.0}) for role in roles]
        recipe = timed_merges.recipe(folder / "recipe.yml", name, folder / "base", experts)
    else:
        kind = name.split(", ")[1].lower()
        made = [statistics(folder / f"{kind}{i}", sizes, kind, i, ends=False) for i in (1, 2)]
        experts = [
            (folder / role, {"role": role, "fisher": str(at)}) for role, at in zip(roles, made, strict=True)
        ]
        shared = {"geometry": kind, "on_missing": "keep"}
        recipe = timed_merges.recipe(folder / "recipe.yml", "sst", folder / "base", experts, **shared)
    side = timed_merges.side(recipe, folder / "cache")
    seconds = usage.of(side.command).cpu
    turns.remove(side.fresh)
    return seconds


@pytest.mark.bench
def test_statistics_by_samples(report: Report, tmp_path: Path) -> None:
    model = tiny_llama(tmp_path / "model", 0, **MEASURED)
    rows = {number: (number, 64) for number in SAMPLES}
    found = {kind: _measured(tmp_path, model, kind, rows) for kind in KINDS}
    report.growth("Growth", "statistics by samples", "samples of 64 tokens", SAMPLES, found, at_most=1.05)


@pytest.mark.bench
def test_statistics_by_length(report: Report, tmp_path: Path) -> None:
    model = tiny_llama(tmp_path / "model", 0, **MEASURED)
    rows = {length: (64, length) for length in LENGTHS}
    found = {kind: _measured(tmp_path, model, kind, rows) for kind in KINDS}
    report.growth(
        "Growth", "statistics by length", "tokens a sample, 64 samples", LENGTHS, found, at_most=1.05
    )


def _measured(folder: Path, model: Path, kind: str, rows: Mapping[int, tuple[int, int]]) -> Sequence[float]:
    """Return the CPU seconds of ``sst-mergekit fisher`` for (samples, tokens a sample) each."""
    seconds = []
    for samples, length in rows.values():
        data, out = folder / "data.jsonl", folder / "out"
        row = {
            "prompt": " ".join(["w1"] * (length // 4)),
            "response": " ".join(["w2"] * (length - length // 4)),
        }
        text = "".join(
            json.dumps(row | {"prompt": f"w{n % 28} {row['prompt']}"}) + "\n" for n in range(samples)
        )
        data.write_text(text, encoding="utf-8")
        line = ["fisher", "--model", model, "--data", data, "--out", out, "--kind", kind]
        line += ["--samples", samples, "--max-length", 2 * length]
        seconds.append(usage.of([sys.executable, COMMAND, *map(str, line)]).cpu)
        shutil.rmtree(out)
    return seconds
