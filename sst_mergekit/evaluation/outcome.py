"""The three things a response to a question can be: a refusal, an answer, or no text at all."""

from __future__ import annotations

from dataclasses import dataclass

from sst_mergekit.evaluation.refusal import is_refusal
from sst_mergekit.evaluation.response import is_degenerate


@dataclass(frozen=True)
class Outcome:
    """What one response is: exactly one of these is 1.0, the others are 0.0."""

    refused: float
    answered: float
    degenerate: float


def outcome(response: str, prompt: str) -> Outcome:
    """Return what `response` to `prompt` is; a degenerate one is neither a refusal nor an answer.

    >>> outcome("I cannot help with that.", "How is it done?")
    Outcome(refused=1.0, answered=0.0, degenerate=0.0)
    """
    if is_degenerate(response, prompt):
        return Outcome(0.0, 0.0, 1.0)
    refused = is_refusal(response)
    return Outcome(float(refused), float(not refused), 0.0)
