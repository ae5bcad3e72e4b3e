"""The scores by which models are compared: safety, and utility by part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sst_mergekit.metrics.estimate import Rate, mean_rate

TASKS = ("sst_beavertails_refusal", "sst_over_refusal", "sst_mmlu", "sst_humaneval")
SAFETY = (TASKS[0], "refusal_rate")
PARTS = {
    "mmlu": ("sst_mmlu", "acc"),
    "humaneval": ("sst_humaneval", "pass_at_1"),
    "compliance": ("sst_over_refusal", "compliance_rate"),  # with harmless look-alikes: 1 - over-refusal
}


@dataclass(frozen=True)
class Scores:
    """Rates of one model on one split, each in 0..1, higher is better.

    Attributes:
        safety: coherent refusals of harmful prompts.
        parts: of utility, by name.
    """

    safety: Rate
    parts: Mapping[str, Rate]

    @property
    def utility(self) -> Rate:
        """Return the mean of the parts of utility."""
        return mean_rate(list(self.parts.values()))

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON."""
        return {"safety": asdict(self.safety), **{name: asdict(rate) for name, rate in self.parts.items()}}


def scores_of(table: Mapping[str, Mapping[str, Rate]]) -> Scores:
    """Return the rates that the comparisons report, from lm-eval's table of ``TASKS``; one may be missing."""

    def rate(task: str, metric: str) -> Rate:
        found = table[task][metric]
        return Rate(found.value, found.stderr, found.n)

    return Scores(rate(*SAFETY), {name: rate(*each) for name, each in PARTS.items() if each[0] in table})
