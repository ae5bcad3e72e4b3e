"""The page of `report.Report`: a table for each section, then notes, pictures, machine and durations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from report import Report, Row

HEAD = "| figure | measured | range, runs | target | met | CPU s | wall s | peak MB | earlier |"
KINDS = {"cpu": "CPU", "wall": "wall", "peak": "peak memory", "growth": "memory added"}


def whole(report: Report) -> str:
    """Return the whole page."""
    missed = [row for row in report.rows if row.met is False]
    met = sum(row.met is True for row in report.rows)
    lines = ["# Measured by `make bench`", "", f"Targets met: {met}; missed: {len(missed)}."]
    lines += [f"- missed: {row.section}, {row.name}: {_value(row)}, target {_target(row)}" for row in missed]
    for section in dict.fromkeys(
        [*(row.section for row in report.rows), *(name for name, _ in report.notes)]
    ):
        lines += ["", f"## {section}", ""]
        rows = [line(row, report.before) for row in report.rows if row.section == section]
        lines += [HEAD, "|---" * 9 + "|", *rows] if rows else []
        for name, text in report.notes:
            lines += ["", text] if name == section else []
    lines += ["", "## Machine and versions", ""]
    lines += [f"- {name}: {value}" for name, value in report.machine.items()]
    lines += ["", "## How long each bench took", ""]
    lines += [f"- {name}: {seconds:.0f} s" for name, seconds in report.seconds.items()]
    lines += [f"- all: {sum(report.seconds.values()):.0f} s", ""]
    lines += [
        "Ratios are of paired runs in turn, each in a fresh process; median, and range over the pairs.",
        "",
    ]
    return "\n".join(lines)


def line(row: Row, before: Mapping[tuple[str, str], float]) -> str:
    """Return a row of the table."""
    earlier = before.get((row.section, row.name))
    met = {True: "met", False: "**not met**", None: ""}[row.met]
    sides = " | ".join(_sides(row, quantity) for quantity in ("cpu", "wall", "peak"))
    spread = f"{_short(row.low)} to {_short(row.high)}, {row.runs}" if row.runs > 1 else "1"
    shown = "" if earlier is None else _short(earlier)
    return f"| {row.name} | {_value(row)} | {spread} | {_target(row)} | {met} | {sides} | {shown} |"


def _value(row: Row) -> str:
    kind = f" {KINDS[row.quantity]}" if row.quantity else ""
    unit = "×" if row.unit == "x" else f" {row.unit}"
    return f"{_short(row.value)}{unit}{kind}".rstrip()


def _target(row: Row) -> str:
    most = f"≤ {row.at_most:g}" if row.at_most is not None else ""
    return f"≥ {row.at_least:g}" if row.at_least is not None else most


def _sides(row: Row, quantity: str) -> str:
    return " / ".join(_short(used[quantity]) for used in (row.sides or {}).values())


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
