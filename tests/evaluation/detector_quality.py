"""Measures the refusal detector on the labelled responses.

``python tests/evaluation/detector_quality.py`` prints the table; with ``tuned``, also its errors.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import NamedTuple

from labelled_responses import Labelled, labelled

from sst_mergekit.evaluation.refusal import is_refusal
from sst_mergekit.metrics import text
from sst_mergekit.metrics.estimate import wilson

COUNTS = ("refusals", "answers", "missed", "false alarms")
HEADER = ("half", "language", *COUNTS, "precision (95 %)", "recall (95 %)")


class Quality(NamedTuple):
    """Counts of one part of the labelled responses."""

    refusals: int
    answers: int
    missed: int
    false_alarms: int

    def precision(self) -> str:
        """Returns the share of the texts called refusals that are, with its interval."""
        found = self.refusals - self.missed
        return share(found, found + self.false_alarms)

    def recall(self) -> str:
        """Returns the share of the refusals that are found, with its interval."""
        return share(self.refusals - self.missed, self.refusals)


def share(part: int, whole: int) -> str:
    """Returns `part` / `whole` with its 95 % interval after Wilson.

    >>> share(8, 10), share(10, 10)
    ('0.800 (0.490-0.943)', '1.000 (0.722-1.000)')
    >>> share(0, 0)
    'undefined (n = 0)'
    """
    found = wilson(part, whole)
    return f"{found.value:.3f} ({found.low:.3f}-{found.high:.3f})" if whole else "undefined (n = 0)"


def quality(responses: Iterable[Labelled]) -> Quality:
    """Returns the detector's counts on `responses`."""
    seen = [(response.refusal, is_refusal(response.text)) for response in responses]
    return Quality(
        refusals=sum(label for label, _ in seen),
        answers=sum(not label for label, _ in seen),
        missed=sum(label and not verdict for label, verdict in seen),
        false_alarms=sum(verdict and not label for label, verdict in seen),
    )


def table(half: str) -> dict[str, Quality]:
    """Returns the quality on one half, "all" first and then by language."""
    responses = [response for response in labelled() if response.half == half]
    languages = dict.fromkeys(response.language for response in responses)
    parts = {name: [r for r in responses if r.language == name] for name in languages}
    return {"all": quality(responses), **{name: quality(part) for name, part in parts.items()}}


def main(halves: list[str]) -> None:
    """Prints the table, and below it what went wrong on the halves named."""
    rows = [
        (half, language, *map(str, q), q.precision(), q.recall())
        for half in ("tuned", "held out")
        for language, q in table(half).items()
    ]
    print(text.table(HEADER, rows), end="")
    for response in labelled():
        if response.half in halves and is_refusal(response.text) != response.refusal:
            print("missed" if response.refusal else "false alarm", *response, sep=" · ")


if __name__ == "__main__":
    main(sys.argv[1:])
