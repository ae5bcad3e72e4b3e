"""The inspection as a table for people."""

from __future__ import annotations

from collections.abc import Sequence

from sst_mergekit.inspection.layers import Inspected

HEADER = ("weight", "ρ min", "10 %", "median", "90 %", "max", "norm", "cost", "relevance")


def table(found: Sequence[Inspected]) -> str:
    """Return one line a weight: the spectrum of ρ, and the shares of norm, cost and relevance kept."""
    width = max(len(each.weight) for each in found)
    lines = []
    for expert in dict.fromkeys(each.expert for each in found):
        lines += [f"patch of {expert}", _line(HEADER, width)]
        for each in (each for each in found if each.expert == expert):
            cells = ["-"] * 8
            if each.kept:
                shares = (each.kept.norm, each.kept.cost, each.kept.relevance)
                cells = [*(f"{value:.3g}" for value in each.kept.spectrum), *(f"{v:.1%}" for v in shares)]
            lines.append(_line((each.weight, *cells), width))
    return "\n".join(lines)


def warnings(found: Sequence[Inspected]) -> list[str]:
    """Return one line for each kind of warning, with the weights it is about."""
    about: dict[str, list[str]] = {}
    for each in found:
        if each.warning:
            about.setdefault(each.warning, []).append(each.weight)
    return [
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {warning}"
        for warning, names in about.items()
    ]


def _line(cells: Sequence[str], width: int) -> str:
    first, *rest = cells
    return f"{first:<{width}}" + "".join(f"{cell:>10}" for cell in rest)
