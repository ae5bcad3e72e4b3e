"""Several demo runs counted together: one method against every other, paired by world and seed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sst_mergekit.errors import DataError
from sst_mergekit.experiments.results import TARGET_SAFETY
from sst_mergekit.metrics import text
from sst_mergekit.metrics.estimate import mean
from sst_mergekit.metrics.significance import Difference, both_known, holm, paired
from sst_mergekit.metrics.tradeoff import tax_cut
from sst_mergekit.reporting.demo_report import BASELINE, CONTROLS, LABELS

WANTED_CUT, WANTED_SEEDS, ALPHA = 0.6, 10, 0.05  # the cut is of Task Arithmetic's tax
RIVALS = (BASELINE, "ties", "dare_ties", "sst_shuffled")  # of whose hypervolume a merge is to be ahead


@dataclass(frozen=True)
class Unit:
    """One seed of one world: each method's tax (None without a gain in safety), hypervolume and utility.

    ``rows`` is the number of calibration rows that was asked for; ``utilities`` are those at the safety
    target, None where it is out of reach.
    """

    world: str
    seed: int
    rows: int | None
    taxes: dict[str, float | None]
    hypervolumes: dict[str, float]
    utilities: dict[str, float | None]


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
    """Return the units of demo folders.

    Raises:
        DataError: no report in a folder, or the same seed of the same world twice.
    """
    units: list[Unit] = []
    for folder in folders:
        path = folder / "report.json"
        if not path.is_file():
            raise DataError(f"{path}: not there; give folders that `sst-mergekit demo --out` has finished")
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
            rows = re.search(r"--calibration-rows (\d+)", body["command"])
            count = int(rows[1]) if rows else None
            units += [_unit(_world(body["command"]), count, seed) for seed in body["seeds"]]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: not a demo's report ({error!r}); run the demo again") from error
    seen: set[tuple[str, int]] = set()
    for unit in units:
        if (unit.world, unit.seed) in seen:
            raise DataError(f"seed {unit.seed} of the {unit.world} is in two of the folders; give each once")
        seen.add((unit.world, unit.seed))
    return units


def tally(units: Sequence[Unit], method: str) -> list[Line]:
    """Return `method` against every other that all units hold; p values are Holm-corrected together.

    Raises:
        DataError: a unit does not hold the method.
    """
    shared = set.intersection(*(set(unit.hypervolumes) for unit in units))
    if method not in shared:
        raise DataError(f"method '{method}' is not in every run; there are {', '.join(sorted(shared))}")
    baselines = [name for name in LABELS if name in shared and name != method]
    areas = {
        name: paired([u.hypervolumes[method] for u in units], [u.hypervolumes[name] for u in units])
        for name in baselines
    }
    utilities = {name: _at_target(units, method, name) for name in baselines}
    known = {name: each for name, each in utilities.items() if each is not None}
    p, utility_p = _corrected(areas), _corrected(known)
    return [
        Line(
            name, areas[name], p.get(name), known.get(name), utility_p.get(name), *_taxes(units, method, name)
        )
        for name in baselines
    ]


def to_markdown(units: Sequence[Unit], lines: Sequence[Line], method: str) -> str:
    """Return the table and whether the bar is met."""
    rows = []
    for line in lines:
        label = f"*control: {LABELS[line.name]}*" if line.name in CONTROLS else LABELS[line.name]
        rows.append(
            [
                label,
                *_cells(line.hypervolume, line.p),
                f"{line.hypervolume.won}/{line.hypervolume.pairs}",
                *_cells(line.utility, line.utility_p),
                text.beside(line.tax, line.baseline_tax),
                "null" if line.cut is None else f"{line.cut:+.0%}",
            ]
        )
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
    own = [unit for unit in units if unit.world == world]
    lines = [line for line in tally(own, method) if line.name in RIVALS]
    cut = next((line.cut for line in lines if line.name == BASELINE), None)
    ahead = [line.hypervolume.mean > 0 and line.p is not None and line.p < ALPHA for line in lines]
    rest = ", ".join(LABELS[line.name] for line, won in zip(lines, ahead, strict=True) if not won)
    others = f", not of {rest} (not met)" if rest else " (met)"
    few = f" Too few for the bar: {WANTED_SEEDS} seeds are wanted." if len(own) < WANTED_SEEDS else ""
    met = "met" if cut is not None and cut >= WANTED_CUT else "not met"
    return (
        f"- {world}: tax {'unknown' if cut is None else format(cut, '.0%')} below Task Arithmetic's "
        f"(wanted {WANTED_CUT:.0%}: {met}); hypervolume ahead of "
        f"{sum(ahead)} of {len(lines)} merges at p < {ALPHA}{others}.{few}"
    )


def _world(command: str) -> str:
    name = "drifted world" if "--drift" in command else "first world"
    number = re.findall(r"--(calibration-rows|hold-out-harm) (\d+)", command)
    return " ".join(["quick " * ("--quick" in command) + name, *(f"({what} {n})" for what, n in number)])


def _unit(world: str, rows: int | None, seed: dict[str, Any]) -> Unit:
    methods = seed["methods"].items()
    return Unit(
        world,
        int(seed["seed"]),
        rows,
        {name: body["tax"]["value"] for name, body in methods},
        {name: float(body["hypervolume"]) for name, body in methods},
        {name: body["utility_at_target"] for name, body in methods},
    )


def _at_target(units: Sequence[Unit], ours: str, theirs: str) -> Difference | None:
    known = both_known([u.utilities[ours] for u in units], [u.utilities[theirs] for u in units])
    return paired(*zip(*known, strict=True)) if known else None


def _corrected(differences: Mapping[str, Difference]) -> dict[str, float]:
    """Return the p values that there are, Holm-corrected together."""
    known = {name: each.p for name, each in differences.items() if each.p is not None}
    return dict(zip(known, holm(list(known.values())), strict=True))


def _taxes(units: Sequence[Unit], ours: str, theirs: str) -> tuple[float | None, float | None]:
    known = both_known([u.taxes[ours] for u in units], [u.taxes[theirs] for u in units])
    if not known:
        return None, None
    tax, baseline_tax = map(mean, zip(*known, strict=True))
    return tax, baseline_tax
