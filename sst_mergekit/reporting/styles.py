"""How models are told apart: a colour and a shape each, the same in every chart, picture and table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sst_mergekit.experiments.names import own

COLOURS, SHAPES = 7, 6  # of the style sheet and the script
INK = "ink"
# of the page, by number; base and experts have the text's own colour
_KNOWN = {"sst": 0, "task_arithmetic": 1, "ties": 2, "dare_linear": 3, "agl": 4}
_UNMERGED = {"base": 0, "utility-expert": 1, "safety-expert": 2}
REFIT = "sst_refit"
# of pictures: colours of Okabe & Ito, told apart by most people; ours are the strong ones
MARKS = {
    "linear": ("#999999", "v"),
    "task_arithmetic": ("#0072B2", "s"),
    "ties": ("#56B4E9", "D"),
    "dare_linear": ("#CC79A7", "v"),
    "dare_ties": ("#009E73", "^"),
    "knots": ("#E69F00", "P"),
    "sst": ("#D55E00", "o"),
    "sst_refit": ("#882255", "h"),
    "sst_shuffled": ("#E69F00", "x"),
    "lora_training": ("#CC79A7", "P"),
    "few_shot": ("#000000", "1"),
}
OURS = ("sst", REFIT)


@dataclass(frozen=True)
class Style:
    """One model's marks.

    Attributes:
        colour: the number of a colour, or ``ink``.
        shape: the number of a shape.
        main: whether it is shown before the reader asks for more.
    """

    colour: int | str
    shape: int
    main: bool


def styles(names: Iterable[str], best: str | None = None) -> dict[str, Style]:
    """Return each model's style; main are the unmerged, the published methods, our refit and the best.

    Colours and shapes are counted on together: 7 and 6 have no common factor, so that 42 differ.

    >>> styles(["base", "SST-Merge", "ties_svd"])["ties_svd"]
    Style(colour=5, shape=5, main=False)
    """
    found, further = {}, 5
    for name in names:
        if name in _UNMERGED:
            found[name] = Style(INK, _UNMERGED[name], True)
        elif own(name) in _KNOWN:
            found[name] = Style(_KNOWN[own(name)], _KNOWN[own(name)], True)
        else:
            found[name] = Style(further % COLOURS, further % SHAPES, name in (best, REFIT))
            further += 1
    return found


def mark(name: str) -> tuple[str, str]:
    """Return a method's colour and marker in pictures; those without their own are grey points."""
    return MARKS.get(own(name), ("#999999", "."))
