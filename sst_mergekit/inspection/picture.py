"""The inspection as a picture: the spectrum of each weight, and what is kept of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sst_mergekit.inspection.layers import Inspected

SHARES = (("norm", "#0072B2"), ("cost", "#D55E00"), ("relevance", "#009E73"))


def draw(found: Sequence[Inspected], path: Path) -> None:
    """Write a PNG: for each patched expert, ρ from its 10 % to its 90 % quantile and the shares kept."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    experts = list(dict.fromkeys(each.expert for each in found))
    rows = [[e for e in found if e.expert == expert and e.kept] for expert in experts]
    height = max(3.0, 1.5 + 0.22 * max((len(row) for row in rows), default=1))
    figure, axes = plt.subplots(
        len(experts), 2, figsize=(13, height * len(experts)), squeeze=False, sharey="row"
    )
    for (left, right), expert, row in zip(axes, experts, rows, strict=True):
        places = range(len(row))
        spectra = [each.kept.spectrum for each in row if each.kept]
        left.hlines(places, [s[1] for s in spectra], [s[3] for s in spectra], color="#999999", lw=5)
        left.plot([s[2] for s in spectra], places, "|", color="black", ms=9, label="median")
        left.plot([s[0] for s in spectra], places, ".", color="#999999", ms=3)
        left.plot([s[4] for s in spectra], places, ".", color="#999999", ms=3, label="least and most")
        left.set_xscale("log")
        left.set_xlabel("relevance per cost ρ; bar: 10 to 90 % of the directions")
        left.set_yticks(list(places), [_short(each.weight) for each in row], fontsize=7)
        left.invert_yaxis()
        left.set_title(f"patch of {Path(expert).name}", fontsize=10, loc="left")
        for name, colour in SHARES:
            values = [getattr(each.kept, name) for each in row]
            right.plot(values, places, "o", ms=4, color=colour, label=name)
        right.set_xlim(0, max(1.0, right.get_xlim()[1]))
        right.set_xlabel("share of the patch that the filter keeps")
        for axis in (left, right):
            axis.grid(alpha=0.25)
            axis.legend(fontsize=8, loc="lower right", bbox_to_anchor=(1, 1), ncol=3, frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=130, format="png")
    plt.close(figure)


def _short(weight: str) -> str:
    """Return a weight's name without what all weights have.

    >>> _short("model.layers.0.mlp.up_proj.weight")
    '0.mlp.up_proj'
    """
    return weight.removesuffix(".weight").removeprefix("model.").removeprefix("layers.")
