"""The inspection as a picture: the spectrum of each weight, what is kept of it, and tested prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sst_mergekit.inspection.layers import Inspected
from sst_mergekit.inspection.measured import Judged

SHARES = (("norm", "#0072B2"), ("cost", "#D55E00"), ("relevance", "#009E73"))


KINDS = (("filtered", "#CC79A7"), ("random", "#999999"), ("the patch or a layer of it", "#0072B2"))
TITLES = {
    "benign": "utility expert with a patch, benign rows",
    "harm": "safety expert less a part of its patch, harm rows",
}


def draw(found: Sequence[Inspected], path: Path, judged: Mapping[str, Judged] | None = None) -> None:
    """Write a PNG: for each patched expert, ρ from its 10 % to its 90 % quantile and the shares kept.

    Below, where it was tested, each side's foretold prices against measured divergences.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    experts = list(dict.fromkeys(each.expert for each in found))
    rows = [[e for e in found if e.expert == expert and e.kept] for expert in experts]
    height = max(3.0, 1.5 + 0.22 * max((len(row) for row in rows), default=1))
    heights = [height] * len(experts) + ([5.5] if judged else [])
    figure, axes = plt.subplots(
        len(heights), 2, figsize=(13, sum(heights)), squeeze=False, height_ratios=heights
    )
    for axis, (side, each) in zip(axes[-1], (judged or {}).items(), strict=False):
        _scatter(axis, side, each)
    for axis in axes[-1][len(judged or {}) :] if judged else ():
        axis.set_axis_off()
    for (left, right), expert, row in zip(axes, experts, rows, strict=False):
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
        right.sharey(left)
        right.tick_params(labelleft=False)
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


def _scatter(axis: Any, side: str, judged: Judged) -> None:
    """Draw the patches of one side; on the line the price is right."""
    known = [each for each in judged.probes if each.foretold > 0 and each.measured > 0]
    for kind, colour in KINDS:
        mine = [each for each in known if _kind(each.name) == kind]
        x, y = [each.foretold for each in mine], [each.measured for each in mine]
        axis.plot(x, y, "o", ms=4, alpha=0.8, color=colour, label=kind)
    both = [value for each in known for value in (each.foretold, each.measured)]
    ends = min(both) / 1.5, max(both) * 1.5
    axis.plot(ends, ends, "--", lw=1, color="black", label="measured as foretold")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("foretold price ½ δᵀFδ")
    axis.set_ylabel("measured divergence, nats a sequence")
    found = judged.agreement
    axis.set_title(
        f"{TITLES[side]}: Spearman {found.spearman:.2f} of {found.n} patches", fontsize=10, loc="left"
    )
    axis.grid(alpha=0.25)
    axis.legend(fontsize=8, loc="upper left", frameon=False)


def _kind(name: str) -> str:
    """Return the kind of a patch by its name.

    >>> _kind("random × 0.5"), _kind("own, shuffled, cost 0.3 × 1")
    ('random', 'filtered')
    """
    if ", cost " in name:
        return KINDS[0][0]
    return KINDS[1][0] if name.startswith("random") or name.endswith(" random") else KINDS[2][0]


def _short(weight: str) -> str:
    """Return a weight's name without what all weights have.

    >>> _short("model.layers.0.mlp.up_proj.weight")
    '0.mlp.up_proj'
    """
    return weight.removesuffix(".weight").removeprefix("model.").removeprefix("layers.")
