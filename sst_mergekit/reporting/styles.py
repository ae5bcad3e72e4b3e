"""How models are told apart: a colour and a shape each, the same in every chart and table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

COLOURS, SHAPES = 7, 6  # of the style sheet and the script
INK = "ink"
# the published methods by all their names; base and experts have the text's own colour
_KNOWN = {
    "SST-Merge": 0,
    "Task-Arithmetic": 1,
    "TA": 1,
    "TIES-Merging": 2,
    "TIES": 2,
    "DARE": 3,
    "AlignGuard-LoRA": 4,
    "AGL": 4,
}
_UNMERGED = {"base": 0, "utility-expert": 1, "safety-expert": 2}
REFIT = "sst_refit"
LABELS = {"utility-expert": "utility expert", "safety-expert": "safety expert", "dare_ties": "DARE-TIES"} | {
    REFIT: "SST-Merge, refitted",
    "lora_training": "LoRA training",
}


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
        elif name in _KNOWN:
            found[name] = Style(_KNOWN[name], _KNOWN[name], True)
        else:
            found[name] = Style(further % COLOURS, further % SHAPES, name in (best, REFIT))
            further += 1
    return found


def label(name: str) -> str:
    """Return a model's name for people."""
    return LABELS.get(name, name)
