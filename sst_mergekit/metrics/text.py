"""Numbers and tables for people: markdown, intervals, p values."""

from __future__ import annotations

from collections.abc import Sequence

from sst_mergekit.metrics.estimate import Estimate


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in markdown.

    >>> print(table(("run", "p"), [("a|b", "0.1")]), end="")
    | run | p |
    |---|---|
    | a\\|b | 0.1 |
    """
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def plus_minus(value: float, margin: float | None, signed: bool = False) -> str:
    """Return a value with its margin, if it has one.

    >>> plus_minus(0.5, 0.1), plus_minus(0.5, None, signed=True)
    ('0.500 ± 0.100', '+0.500')
    """
    return f"{value:{'+' if signed else ''}.3f}" + ("" if margin is None else f" ± {margin:.3f}")


def text(found: Estimate, signed: bool = False) -> str:
    """Return an estimate as text: its value and interval, or a dash and the reason.

    >>> text(Estimate(0.5, 0.41, 0.59)), text(Estimate(None, reason="no gain")), text(Estimate(-0.00001))
    ('0.500 [0.410, 0.590]', '– (no gain)', '0.000')
    """
    if found.value is None:
        return f"– ({found.reason})"
    return number(found.value, signed) + ends(found, signed)


def beside(value: float | None, other: float | None) -> str:
    """Return a value, and another in brackets; null unless both are known.

    >>> beside(0.1, 0.25), beside(None, 0.25)
    ('0.100 (0.250)', 'null')
    """
    return "null" if value is None or other is None else f"{value:.3f} ({other:.3f})"


def ends(found: Estimate, signed: bool = False, digits: int = 3) -> str:
    """Return an estimate's interval as text, empty where it has none."""
    if found.low is None or found.high is None:
        return ""
    return f" [{number(found.low, signed, digits)}, {number(found.high, signed, digits)}]"


def number(value: float | None, signed: bool = False, digits: int = 3) -> str:
    """Return a number with that many decimals, a dash for None, and no "-0.000"."""
    if value is None:
        return "–"
    rounded = round(value, digits) + 0.0
    sign = "+" if signed and rounded else ""
    return f"{rounded:{sign}.{digits}f}".replace("-", "−")


def p_value(p: float | None, unknown: str = "–") -> str:
    """Return a p value as text.

    >>> p_value(0.03), p_value(0.0009), p_value(None)
    ('0.030', '<0.001', '–')
    """
    return unknown if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"
