"""What the page's script draws: points, lines and what is said when one is pointed at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sst_mergekit.experiments.names import label
from sst_mergekit.metrics.estimate import Estimate
from sst_mergekit.metrics.text import number, text
from sst_mergekit.reporting.retained import Kept, Retained
from sst_mergekit.reporting.rows import Point, Row
from sst_mergekit.reporting.styles import styles

ALL = "all"  # the group of what is shown only when all seeds are
Spec = dict[str, Any]


def fronts_chart(rows: Sequence[Row], seeds: Sequence[int], best: str | None) -> Spec:
    """Return the chart of safety and utility, with a group a seed."""
    looks = styles((row.name for row in rows), best)
    several = len(seeds) > 1
    groups = [{"id": ALL, "label": "all"}, *({"id": str(seed), "label": str(seed)} for seed in seeds)]
    return {
        "x": {"label": "safety: share of harmful prompts refused", "from": 0.0, "to": 1.0},
        "y": {"label": "utility", "from": None, "to": None},
        "groups": groups if several else [],
        "group_label": "seed",
        "series": [
            _series(row.name, looks) | {"points": _points(row, several), "lines": _lines(row)} for row in rows
        ],
    }


def _series(name: str, looks: Mapping[str, Any]) -> Spec:
    look = looks[name]
    return {"name": label(name), "colour": look.colour, "shape": look.shape, "on": look.main}


def _points(row: Row, several: bool) -> list[Spec]:
    points = [_point(row, point, several) for point in row.points]
    if several:
        points.append(_mean(row))
    return points


def _point(row: Row, point: Point, several: bool) -> Spec:
    """Return one setting; the chosen one is larger, unless the mean is what stands out."""
    lines = [f"{label(row.name)}, seed {point.seed}"]
    if point.settings:
        lines.append(settings_text(point.settings))
    lines.append(f"safety {number(point.safety)}, utility {number(point.utility)}")
    if point.settings and point.chosen:
        lines.append("chosen on the development split")
    return {
        "x": point.safety,
        "y": point.utility,
        "group": point.seed,
        "size": 1 if several or not point.chosen else 2,
        "tip": lines,
    }


def _mean(row: Row) -> Spec:
    what = "mean over seeds" if row.kind == "expert" else "chosen settings, mean over seeds"
    return {
        "x": row.safety.value,
        "y": row.utility.value,
        "bars": _bars(row.safety, row.utility),
        "group": ALL,
        "size": 2,
        "tip": [
            f"{label(row.name)}: {what}",
            f"safety {text(row.safety)}",
            f"utility {text(row.utility)}",
        ],
    }


def _bars(x: Estimate | None, y: Estimate) -> Spec:
    ends = {"y": [y.low, y.high]} if y.low is not None else {}
    if x is not None and x.low is not None:
        ends["x"] = [x.low, x.high]
    return ends


def _lines(row: Row) -> list[Spec]:
    """Return the edge of what each seed's front dominates, as steps."""
    lines = []
    for seed, places in row.steps.items():
        path = [places[0]]
        for before, after in zip(places, places[1:], strict=False):
            path += [(before[0], after[1]), after]
        lines.append({"group": seed, "path": path})
    return lines


def retained_chart(found: Retained, best: str | None) -> Spec:
    """Return the chart of the share that is left over the number of experts."""
    looks = styles((method.name for method in found.methods), best)
    aside = 0.01 * (found.counts[-1] - found.counts[0])  # so that bars of several methods can be told apart
    middle = (len(found.methods) - 1) / 2
    return {
        "x": {"label": "experts merged, one a task", "from": None, "to": None, "ticks": found.counts},
        "y": {"label": "share of the experts' own scores that is left", "from": 0.0, "to": None},
        "groups": [],
        "group_label": "",
        "series": [
            _series(method.name, looks)
            | {"on": True}
            | _curve(method, found.counts, aside * (i - middle) / 2)
            for i, method in enumerate(found.methods)
        ],
    }


def _curve(method: Kept, counts: Sequence[int], aside: float) -> Spec:
    known = [
        (count, share, strengths)
        for count, share, strengths in zip(counts, method.shares, method.strengths, strict=True)
        if share.value is not None
    ]
    points = [
        {
            "x": count + aside,
            "y": share.value,
            "bars": _bars(None, share),
            "group": ALL,
            "size": 2,
            "tip": [f"{label(method.name)}, {count} experts", f"share left {text(share)}"]
            + ([f"strength {', '.join(f'{one:g}' for one in strengths)}"] if strengths else []),
        }
        for count, share, strengths in known
    ]
    return {"points": points, "lines": [{"group": ALL, "path": [(one["x"], one["y"]) for one in points]}]}


def settings_text(settings: Mapping[str, float]) -> str:
    """Return settings as text.

    >>> settings_text({"strength": 0.5, "cost": 1.0})
    'strength 0.5, cost 1'
    """
    return ", ".join(f"{key} {value:g}" for key, value in settings.items()) or "none"
