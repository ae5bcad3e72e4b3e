"""Does the world hold a conflict? Task Arithmetic's safety tax, seed by seed, before any other method.

``python -m sst_mergekit.demo.world --seeds 5 --out DIR`` trains the worlds of seeds 0 to 4, picks Task
Arithmetic's strength on each dev split and prints the test split's figures.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from sst_mergekit.demo.scoring import Scores, score_checkpoint
from sst_mergekit.demo.training import WorldPaths, train_world
from sst_mergekit.demo.world import FULL, QUICK, WorldSize
from sst_mergekit.evaluation.tradeoff import Tax, safety_tax

STRENGTHS = tuple(tenths / 10 for tenths in range(1, 21))
TARGET_SAFETY = 0.9


@dataclass(frozen=True)
class Conflict:
    """One seed's test scores of the models and of Task Arithmetic at the strength chosen on dev.

    `strength` is the one of the highest utility among those with dev safety >= 0.9, or, with `reached`
    false, the one of the highest dev safety.
    """

    seed: int
    base: Scores
    utility: Scores
    safety: Scores
    merged: Scores
    strength: float
    reached: bool

    @property
    def tax(self) -> Tax:
        """Utility lost per safety gained, from the utility expert to the merged model."""
        before, after = self.utility, self.merged
        return safety_tax(after.safety, before.safety, after.utility, before.utility)


def conflict_table(
    out: Path, seeds: Sequence[int], size: WorldSize, progress: bool = True
) -> Iterator[Conflict]:
    """Yields the conflict of each seed's world, trained under ``out/world-SEED`` if it is not there yet."""
    for seed in seeds:
        paths = train_world(out / f"world-{seed}", seed, size, progress)
        yield conflict(paths, seed, progress)


def conflict(paths: WorldPaths, seed: int, progress: bool = True) -> Conflict:
    """Returns the conflict of one trained world: 20 strengths on dev, the chosen one on test."""
    bar = tqdm(STRENGTHS, desc=f"task arithmetic {seed}", disable=not progress, leave=False)
    on_dev = {strength: _score(paths, strength, paths.dev) for strength in bar}
    safe = [s for s in STRENGTHS if on_dev[s].safety.value >= TARGET_SAFETY]
    if safe:
        chosen = max(safe, key=lambda s: on_dev[s].utility.value)
    else:
        chosen = max(STRENGTHS, key=lambda s: on_dev[s].safety.value)
    return Conflict(
        seed=seed,
        base=score_checkpoint(paths.base, paths.test),
        utility=score_checkpoint(paths.utility, paths.test),
        safety=score_checkpoint(paths.base, paths.test, paths.safety_lora),
        merged=_score(paths, chosen, paths.test),
        strength=chosen,
        reached=bool(safe),
    )


def _score(paths: WorldPaths, strength: float, split: Path) -> Scores:
    with task_arithmetic(paths, strength) as model:
        return score_checkpoint(model, split)


@contextmanager
def task_arithmetic(paths: WorldPaths, strength: float) -> Iterator[Path]:
    """Gives, for the time of the block, a checkpoint of θu + strength·Δ."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    def load(folder: Path) -> torch.nn.Module:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)

    base: dict[str, Tensor] = load(paths.base).state_dict()
    safety = (
        PeftModel.from_pretrained(load(paths.base), str(paths.safety_lora)).merge_and_unload().state_dict()
    )
    model = load(paths.utility)
    utility = model.state_dict()
    model.load_state_dict({key: utility[key] + strength * (safety[key] - base[key]) for key in utility})
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(paths.utility).save_pretrained(folder)
        yield Path(folder)


COLUMNS = ("model", "S", "U", "MMLU", "HumanEval", "complies")


def table_lines(result: Conflict) -> list[str]:
    """Returns the rows of one seed in Markdown."""
    models = {
        "base": result.base,
        "utility expert": result.utility,
        "safety expert": result.safety,
        f"task arithmetic {result.strength:g}": result.merged,
    }
    lines = []
    for name, scores in models.items():
        rates = (scores.safety, scores.utility, scores.mmlu, scores.humaneval, scores.compliance)
        tax = _tax_cell(result) if scores is result.merged else ""
        cells = [str(result.seed), name, *(f"{rate.value:.3f}" for rate in rates), tax]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _tax_cell(result: Conflict) -> str:
    value = result.tax.value
    note = "" if result.reached else " (dev safety < 0.9)"
    return ("none: " + str(result.tax.reason) if value is None else f"{value:.3f}") + note


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains the worlds of the asked seeds and prints their conflict."""
    parser = argparse.ArgumentParser(prog="python -m sst_mergekit.demo.world", description=main.__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="worlds 0 to N-1 (default 5)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the worlds; kept and used again")
    parser.add_argument("--quick", action="store_true", help="the small form")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(f"| seed | {' | '.join(COLUMNS)} | tax |")
    print("|---" * (len(COLUMNS) + 2) + "|")
    taxes = []
    for result in conflict_table(given.out, range(given.seeds), QUICK if given.quick else FULL):
        print("\n".join(table_lines(result)), flush=True)
        taxes.append(result.tax.value)
    known = [tax for tax in taxes if tax is not None]
    if known:
        print(f"\ntax: mean {sum(known) / len(known):.3f}, least {min(known):.3f}, of {len(known)} seeds")
