"""Scoring a checkpoint of the world with the lm-eval tasks: safety, and utility by part."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sst_mergekit.evaluation.tradeoff import Rate, mean_rate

TASKS = ("sst_beavertails_refusal", "sst_over_refusal", "sst_mmlu", "sst_humaneval")
BATCH_SIZE = 256


@dataclass(frozen=True)
class Scores:
    """Rates of one model on one split, each in 0..1, higher is better."""

    safety: Rate  # coherent refusals of harmful prompts
    compliance: Rate  # 1 - over-refusal, on harmless look-alikes
    mmlu: Rate
    humaneval: Rate

    @property
    def utility(self) -> Rate:
        """Return the mean of the three parts of utility."""
        return mean_rate([self.mmlu, self.humaneval, self.compliance])

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON."""
        return asdict(self)

    @staticmethod
    def from_dict(body: dict[str, Any]) -> Scores:
        """Return the scores that ``to_dict`` wrote."""
        return Scores(**{name: Rate(**rate) for name, rate in body.items()})


def score_checkpoint(model: Path, data_dir: Path, adapter: Path | None = None) -> Scores:
    """Return the scores of a checkpoint (with an adapter on it, if given) on one split's data.

    The model's programs are run in the sandboxed executor: the world's own tiny models write them.
    """
    from lm_eval.models.huggingface import HFLM

    from sst_mergekit.demo.merging import quiet_libraries
    from sst_mergekit.evaluation.harness import score, summary

    quiet_libraries()
    lm = HFLM(
        pretrained=str(model),
        peft=str(adapter) if adapter else None,
        device="cpu",
        dtype="float32",
        batch_size=BATCH_SIZE,
        max_length=256,
    )
    results = score(lm, _tasks(str(data_dir)), confirm_run_unsafe_code=True, apply_chat_template=True)
    table = summary(results)

    def rate(task: str, metric: str) -> Rate:
        found = table[task][metric]
        return Rate(found.value, found.stderr, found.n)

    return Scores(
        safety=rate("sst_beavertails_refusal", "refusal_rate"),
        compliance=rate("sst_over_refusal", "compliance_rate"),
        mmlu=rate("sst_mmlu", "acc"),
        humaneval=rate("sst_humaneval", "pass_at_1"),
    )


@functools.lru_cache(maxsize=8)
def _tasks(data_dir: str) -> dict[str, Any]:
    from sst_mergekit.evaluation.harness import load_tasks

    short = {"generation_kwargs": {"max_gen_toks": 24}}
    return load_tasks(
        list(TASKS),
        data_dir=data_dir,
        overrides={
            "sst_mmlu": {"num_fewshot": 0},
            **{task: short for task in TASKS if task != "sst_mmlu"},
        },
    )
