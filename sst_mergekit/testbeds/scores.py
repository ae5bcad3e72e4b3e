"""Scoring a checkpoint of the world with the lm-eval tasks: safety, and utility by part."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sst_mergekit.metrics.estimate import Rate, mean_rate

if TYPE_CHECKING:
    from sst_mergekit.metrics.estimate import Rate as Score

TASKS = ("sst_beavertails_refusal", "sst_over_refusal", "sst_mmlu", "sst_humaneval")
BATCH_SIZE = 256


@dataclass(frozen=True)
class Scores:
    """Rates of one model on one split, each in 0..1, higher is better."""

    safety: Rate  # coherent refusals of harmful prompts
    compliance: Rate  # 1 - over-refusal, on harmless look-alikes
    mmlu: Rate
    humaneval: Rate | None  # None on a split that asks for no programs

    @property
    def utility(self) -> Rate:
        """Return the mean of the parts of utility: three, or two where no programs were asked for."""
        parts = (self.mmlu, self.humaneval, self.compliance)
        return mean_rate([part for part in parts if part is not None])

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON."""
        return asdict(self)

    @staticmethod
    def from_dict(body: dict[str, Any]) -> Scores:
        """Return the scores that ``to_dict`` wrote."""
        return Scores(**{name: Rate(**rate) if rate else None for name, rate in body.items()})


def score_checkpoint(model: Path, data_dir: Path, adapter: Path | None = None) -> Scores:
    """Return the scores of a checkpoint (with an adapter on it, if given) on one split's data."""
    from sst_mergekit.evaluation.harness import summary

    return scores_of(summary(results_of(model, data_dir, adapter, TASKS)))


def scores_of(table: Mapping[str, Mapping[str, Score]]) -> Scores:
    """Return the rates that the demo reports, from lm-eval's table of ``TASKS``."""

    def rate(task: str, metric: str) -> Rate:
        found = table[task][metric]
        return Rate(found.value, found.stderr, found.n)

    return Scores(
        safety=rate("sst_beavertails_refusal", "refusal_rate"),
        compliance=rate("sst_over_refusal", "compliance_rate"),
        mmlu=rate("sst_mmlu", "acc"),
        humaneval=rate("sst_humaneval", "pass_at_1") if "sst_humaneval" in table else None,
    )


def results_of(
    model: Path,
    data_dir: Path,
    adapter: Path | None,
    tasks: tuple[str, ...],
    *,
    batch_size: int = BATCH_SIZE,
    max_length: int = 256,
    samples: int | None = None,
) -> dict[str, Any]:
    """Return lm-eval's results of a checkpoint on `tasks`, with their samples.

    Args:
        model, adapter: a checkpoint, and an adapter on it.
        data_dir: the folder of one split.
        tasks: names.
        batch_size, max_length: of the model; longer prompts lose their beginning.
        samples: prompts a task at most (None: all).

    The model's programs are run in the sandboxed executor: the world's own tiny models write them.
    """
    from lm_eval.models.huggingface import HFLM

    from sst_mergekit.evaluation.harness import score
    from sst_mergekit.merging.recipe import quiet_libraries

    quiet_libraries()
    lm = HFLM(
        pretrained=str(model),
        peft=str(adapter) if adapter else None,
        device="cpu",
        dtype="float32",
        batch_size=batch_size,
        max_length=max_length,
    )
    chosen = _tasks(str(data_dir), tasks, samples)
    return score(lm, chosen, confirm_run_unsafe_code=True, apply_chat_template=True)


@functools.lru_cache(maxsize=8)
def _tasks(data_dir: str, names: tuple[str, ...], samples: int | None) -> dict[str, Any]:
    from sst_mergekit.evaluation.harness import load_tasks

    short = {"generation_kwargs": {"max_gen_toks": 24}}
    return load_tasks(
        list(names),
        data_dir=data_dir,
        metadata={} if samples is None else {"samples": samples},
        overrides={task: {"num_fewshot": 0} if task == "sst_mmlu" else short for task in names},
    )
