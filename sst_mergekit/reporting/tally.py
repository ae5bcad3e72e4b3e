"""Several comparisons counted together: one method against every other, paired by world and seed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sst_mergekit.errors import DataError
from sst_mergekit.experiments.names import BASELINE, CONTROLS, LABELS, own
from sst_mergekit.experiments.results import TARGET_SAFETY
from sst_mergekit.metrics import text
from sst_mergekit.metrics.estimate import mean
from sst_mergekit.metrics.significance import Difference, both_known, holm, paired
from sst_mergekit.metrics.tradeoff import tax_cut
from sst_mergekit.reporting.results import Body, comparisons

WANTED_CUT, WANTED_SEEDS, ALPHA = 0.6, 10, 0.05  # the cut is of Task Arithmetic's tax
RIVALS = (BASELINE, "ties", "dare_ties", "sst_shuffled")  # of whose hypervolume a merge is to be ahead
METRICS = ("hypervolume", "safety_tax", "utility_at_target")


@dataclass(frozen=True)
class Unit:
    """One seed of one world.

    Attributes:
        world, seed: which.
        rows: the number of calibration rows that was asked for.
        figures: of each method its ``METRICS``; None without a gain in safety, or out of the target's reach.
    """

    world: str
    seed: int
    rows: int | None
    figures: dict[str, dict[str, float | None]]


@dataclass(frozen=True)
class Line:
    """One baseline: the differences, their p after Holm, both taxes where both have one.

    ``utility`` is at the safety target, over the pairs in which both reach it; None where there are none.
    """

    name: str
    hypervolume: Difference
    p: float | None
    utility: Difference | None
    utility_p: float | None
    tax: float | None
    baseline_tax: float | None

    @property
    def cut(self) -> float | None:
        """Return the share of the baseline's tax that is saved."""
        return tax_cut(self.tax, self.baseline_tax)


def read(folders: Iterable[Path]) -> list[Unit]:
    """Return the units in folders of demos, studies or experiments.

    Raises:
        SstError: no results in a folder, damaged ones, or the same seed of the same world twice.
    """
    found: dict[tuple[str, int], Unit] = {}
    for folder in folders:
        try:
            units = [unit for body in comparisons(folder) for unit in _units(body)]
        except (KeyError, TypeError) as error:
            raise DataError(f"{folder}: not the results of a comparison ({error!r}); run it again") from error
        for unit in units:
            if (unit.world, unit.seed) in found:
                raise DataError(
                    f"seed {unit.seed} of the {unit.world} is in two of the folders; give each once"
                )
            found[unit.world, unit.seed] = unit
    return list(found.values())


def _units(body: Body) -> list[Unit]:
    about = body["config"]
    world = about["mode"] if about["experiment"] == "demo" else f"{about['model']}, {about['mode']}"
    asked = re.search(r"calibration-rows (\d+)", world)
    seeds: dict[int, dict[str, dict[str, float | None]]] = {}
    for row in body["results"]:
        if "settings" in row:
            figures = {metric: row.get(metric) for metric in METRICS}
            seeds.setdefault(row["seed"], {})[own(row["method"])] = figures
    return [Unit(world, seed, int(asked[1]) if asked else None, each) for seed, each in seeds.items()]


def tally(units: Sequence[Unit], method: str) -> list[Line]:
    """Return `method` against every other that all units hold; p values are Holm-corrected by column.

    Raises:
        DataError: a unit does not hold the method.
    """
    shared = set.intersection(*(set(unit.figures) for unit in units))
    if method not in shared:
        raise DataError(f"method '{method}' is not in every run; there are {', '.join(sorted(shared))}")
    baselines = [name for name in LABELS if name in shared and name != method]
    areas, utilities = (
        _column(units, metric, method, baselines) for metric in ("hypervolume", "utility_at_target")
    )
    lines = []
    for name in baselines:
        taxes = _both(units, "safety_tax", method, name)
        tax, baseline_tax = map(mean, zip(*taxes, strict=True)) if taxes else (None, None)
        lines.append(Line(name, *areas[name], *utilities.get(name, (None, None)), tax, baseline_tax))
    return lines


def _column(
    units: Sequence[Unit], metric: str, method: str, baselines: Sequence[str]
) -> dict[str, tuple[Difference, float | None]]:
    """Return the differences that there are, with their p values, Holm-corrected together."""
    pairs = {name: _both(units, metric, method, name) for name in baselines}
    found = {name: paired(*zip(*both, strict=True)) for name, both in pairs.items() if both}
    known = {name: each.p for name, each in found.items() if each.p is not None}
    p = dict(zip(known, holm(list(known.values())), strict=True))
    return {name: (each, p.get(name)) for name, each in found.items()}


def _both(units: Sequence[Unit], metric: str, ours: str, theirs: str) -> list[tuple[float, float]]:
    sides = ([unit.figures[name][metric] for unit in units] for name in (ours, theirs))
    return both_known(*sides)


def to_markdown(units: Sequence[Unit], lines: Sequence[Line], method: str) -> str:
    """Return the table and whether the bar is met."""
    rows = [
        [
            f"*control: {LABELS[line.name]}*" if line.name in CONTROLS else LABELS[line.name],
            *_cells(line.hypervolume, line.p),
            f"{line.hypervolume.won}/{line.hypervolume.pairs}",
            *_cells(line.utility, line.utility_p),
            text.beside(line.tax, line.baseline_tax),
            "null" if line.cut is None else f"{line.cut:+.0%}",
        ]
        for line in lines
    ]
    header = (
        f"{LABELS[method]} against",
        "hypervolume",
        "p (Holm)",
        "seeds won",
        f"utility at safety {TARGET_SAFETY}",
        "p (Holm)",
        "tax (the baseline's)",
        "cut",
    )
    worlds = sorted({unit.world for unit in units})
    counted = ", ".join(f"{sum(u.world == world for u in units)} of the {world}" for world in worlds)
    return f"Seeds: {counted}.\n\n{text.table(header, rows)}\n{verdict(units, method)}\n"


def _cells(gap: Difference | None, p: float | None) -> tuple[str, str]:
    """Return a difference and its p value as text."""
    if gap is None:
        return "null", ""
    return text.plus_minus(gap.mean, gap.margin, signed=True), "" if p is None else f"{p:.3f}"


def verdict(units: Sequence[Unit], method: str) -> str:
    """Return in words whether the bar is met in each world: tax, hypervolume, and enough seeds for either."""
    return "\n".join(_of_world(world, units, method) for world in sorted({unit.world for unit in units}))


def _of_world(world: str, units: Sequence[Unit], method: str) -> str:
    own_units = [unit for unit in units if unit.world == world]
    lines = [line for line in tally(own_units, method) if line.name in RIVALS]
    cut = next((line.cut for line in lines if line.name == BASELINE), None)
    ahead = [line.hypervolume.mean > 0 and line.p is not None and line.p < ALPHA for line in lines]
    rest = ", ".join(LABELS[line.name] for line, won in zip(lines, ahead, strict=True) if not won)
    others = f", not of {rest} (not met)" if rest else " (met)"
    few = f" Too few for the bar: {WANTED_SEEDS} seeds are wanted." if len(own_units) < WANTED_SEEDS else ""
    met = "met" if cut is not None and cut >= WANTED_CUT else "not met"
    return (
        f"- {world}: tax {'unknown' if cut is None else format(cut, '.0%')} below Task Arithmetic's "
        f"(wanted {WANTED_CUT:.0%}: {met}); hypervolume ahead of "
        f"{sum(ahead)} of {len(lines)} merges at p < {ALPHA}{others}.{few}"
    )
