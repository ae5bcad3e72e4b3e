"""The inspection as a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sst_mergekit.inspection.layers import Inspected
from sst_mergekit.inspection.measured import Judged

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


def truth(judged: Mapping[str, Judged]) -> str:
    """Return one line a side: how well foretold prices agree with measured divergences."""
    lines = [""]
    for side, each in judged.items():
        found = each.agreement
        lines.append(
            f"{side}, price against divergence of {found.n} patches on {each.prompts} prompts: "
            f"Spearman {found.spearman:.3f}, Pearson of logs {found.pearson:.3f}, "
            f"bias {found.bias:+.2f} (log of measured over foretold)"
        )
    return "\n".join(lines)


def shared(judged: Mapping[str, Judged]) -> list[str]:
    """Return a warning for each side whose rows are not all held out."""
    flags = {"benign": "--data", "harm": "--harm"}
    return [
        f"{flags[side]}: {each.shared} of {each.prompts} prompts are among those that the statistics were "
        "measured on; give rows that are held out"
        for side, each in judged.items()
        if each.shared
    ]


def _line(cells: Sequence[str], width: int) -> str:
    first, *rest = cells
    return f"{first:<{width}}" + "".join(f"{cell:>10}" for cell in rest)
