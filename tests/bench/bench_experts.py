"""How a merge of 2 to 24 experts of equal standing grows: CPU seconds and memory, beside task_arithmetic."""

from __future__ import annotations

from pathlib import Path

import pytest
import timed_merges
import usage
from made_models import M140, checkpoint
from made_statistics import statistics
from report import Report

NUMBERS = (2, 4, 8, 16, 24)
SIZES = M140 | {
    "vocab_size": 2000,
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
}


@pytest.mark.bench
def test_experts(report: Report, tmp_path: Path) -> None:
    """Record both methods' cost by the number of experts."""
    base = checkpoint(tmp_path / "base", SIZES, 0)
    experts = [
        (
            checkpoint(tmp_path / f"expert{seed}", SIZES, seed, base),
            statistics(tmp_path / f"fisher{seed}", SIZES, "kronecker", seed),
        )
        for seed in range(1, max(NUMBERS) + 1)
    ]
    used: dict[str, list[usage.Usage]] = {"task_arithmetic": [], "sst": []}
    for number in NUMBERS:
        for method, found in used.items():
            recipe = _recipe(tmp_path / f"{method}-{number}.yml", method, base, experts[:number])
            found.append(usage.of(timed_merges.side(recipe, tmp_path / "cache").command))
    seconds = {method: [each.cpu for each in found] for method, found in used.items()}
    report.growth("Growth", "merge by experts", "experts", NUMBERS, seconds)
    tensor = SIZES["vocab_size"] * SIZES["hidden_size"] * 4 / 2**20
    for method, found in used.items():
        more = (found[-1].growth - found[0].growth) / (NUMBERS[-1] - NUMBERS[0]) / tensor
        name = f"{method}: memory an expert adds, in tensors of the largest size ({tensor:.1f} MB)"
        report.figure("Growth", name, [more], "")


def _recipe(path: Path, method: str, base: Path, experts: list[tuple[Path, Path]]) -> Path:
    parameters = {"weight": 1 / len(experts)}
    models = [
        (model, parameters | ({"role": "expert", "fisher": str(fisher)} if method == "sst" else {}))
        for model, fisher in experts
    ]
    shared = {"on_missing": "keep"} if method == "sst" else {"normalize": False}
    return timed_merges.recipe(path, method, base, models, **shared)
