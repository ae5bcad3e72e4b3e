"""What `make bench` found, as ``bench.md`` with ``bench.json`` and pictures beside it.

A bench takes the fixture `report` (of `conftest.py`), measures with `turns.in_turn` or in its own process,
and records. Sections are "Merging", "Statistics", "Start-up and scoring", "Growth", or another heading:

    @pytest.mark.bench
    def test_merging(report, tmp_path):
        runs = in_turn({"sst": Side(command), "ties": Side(other, fresh=(out,))}, runs=5)
        report.ratio("Merging", "sst, diagonal, against ties", runs, "sst", "ties", at_most=0.5)
        report.ratio("Merging", "its memory", runs, "sst", "ties", quantity="peak", at_most=1.15)
        report.figure("Start-up and scoring", "check", [1.8, 1.9, 1.7], "s", at_most=2.0)
        report.growth("Growth", "merge by parameters", "parameters", sizes, {"sst": seconds}, at_most=1.05)
        report.profile("Merging", "where the time goes", Side(command))  # for a target that was missed
        report.note("Merging", "anything else that must be said, as markdown")

A target that is missed is written as missed; it fails no test. Rows are written as they come, so that a run
that was broken off leaves what it found. The value that an earlier run left in the same place is shown beside
the new one. The place is $SST_BENCH_OUT, else ``bench.md``.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import page
import profiling
from growth import draw, exponent
from turns import QUANTITIES, Runs, Side, median, ratios


@dataclass(frozen=True)
class Row:
    """One figure beside its target.

    Attributes:
        section, name: where it stands and what it is; together they find the value of an earlier run.
        unit: "x" for a ratio, else s, MB, ...
        value, low, high: median and range.
        runs: how many runs, or pairs of them.
        at_most, at_least: the target, or None.
        sides: for a ratio both sides' medians, name -> quantity -> value.
        quantity: what the ratio is of.
    """

    section: str
    name: str
    unit: str
    value: float
    low: float
    high: float
    runs: int
    at_most: float | None = None
    at_least: float | None = None
    sides: Mapping[str, Mapping[str, float]] | None = None
    quantity: str | None = None

    @property
    def met(self) -> bool | None:
        """Whether the median meets the target; None without one."""
        if self.at_most is None and self.at_least is None:
            return None
        above = self.at_least is None or self.value >= self.at_least
        return above and (self.at_most is None or self.value <= self.at_most)


class Report:
    """Rows, notes and pictures of one run of the benches; see the module's docstring."""

    def __init__(self, path: Path, machine: Mapping[str, str]) -> None:
        self.path, self.machine = path, machine
        self.rows: list[Row] = []
        self.notes: list[tuple[str, str]] = []
        self.seconds: dict[str, float] = {}
        self._data = path.with_suffix(".json")
        earlier = json.loads(self._data.read_text())["rows"] if self._data.is_file() else []
        self.before = {(row["section"], row["name"]): row["value"] for row in earlier}

    def ratio(
        self,
        section: str,
        name: str,
        runs: Runs,
        of: str,
        to: str,
        quantity: str = "cpu",
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> float:
        """Record the ratio of two sides' cpu, wall, peak or growth, pair by pair; return its median."""
        found = ratios(runs, of, to, quantity)
        sides = {side: {each: median(runs[side], each) for each in QUANTITIES} for side in (of, to)}
        return self._add(section, name, "x", found, at_most, at_least, sides, quantity)

    def figure(
        self,
        section: str,
        name: str,
        values: Sequence[float],
        unit: str,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> float:
        """Record a figure with a unit, measured once or several times; return its median."""
        return self._add(section, name, unit, values, at_most, at_least)

    def growth(
        self,
        section: str,
        name: str,
        axis: str,
        sizes: Sequence[float],
        values: Mapping[str, Sequence[float]],
        unit: str = "CPU s",
        at_most: float | None = None,
    ) -> None:
        """Record the exponent of a power law fitted to each line of values over sizes, and draw them.

        The range is the exponent less and plus its standard error; its runs are the sizes.
        """
        for line, found in values.items():
            power, error = exponent(sizes, found)
            row = f"{name}, {line}: exponent of {unit} by {axis}"
            self._add(section, row, "", [power - error, power, power + error], at_most, runs=len(sizes))
        picture = self.path.with_name(f"bench-{name.replace(' ', '-')}.png")
        draw(picture, axis, sizes, values, unit)
        self.note(section, f"![{name}]({picture.name})")

    def note(self, section: str, text: str) -> None:
        """Record a paragraph of markdown below a section's table."""
        self.notes.append((section, text))
        self.write()

    def profile(self, section: str, title: str, side: Side) -> None:
        """Record where the time goes in the marked part of a side, run once more for it."""
        self.note(section, f"{title}:\n\n{profiling.table(side)}")

    def imports(self, section: str, title: str, command: Sequence[str | Path]) -> None:
        """Record what a command's imports cost, by package; it is run once more for it."""
        self.note(section, f"{title}:\n\n{profiling.imports(command)}")

    def took(self, bench: str, seconds: float) -> None:
        """Record how long a bench took."""
        self.seconds[bench] = self.seconds.get(bench, 0.0) + seconds
        self.write()

    def write(self) -> None:
        """Write the markdown and the JSON."""
        if self.rows or self.notes:
            rows = [asdict(row) | {"met": row.met} for row in self.rows]
            body = {"machine": self.machine, "rows": rows, "notes": self.notes, "seconds": self.seconds}
            self._data.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
            self.path.write_text(page.whole(self), encoding="utf-8")

    def _add(
        self,
        section: str,
        name: str,
        unit: str,
        found: Sequence[float],
        at_most: float | None,
        at_least: float | None = None,
        sides: Mapping[str, Mapping[str, float]] | None = None,
        quantity: str | None = None,
        runs: int | None = None,
    ) -> float:
        value = statistics.median(found)
        row = Row(
            section, name, unit, value, min(found), max(found), runs or len(found), at_most, at_least, sides
        )
        self.rows.append(row if quantity is None else Row(**(row.__dict__ | {"quantity": quantity})))
        print(f"\n{page.line(self.rows[-1], self.before)}", end="", flush=True)
        self.write()
        return value
