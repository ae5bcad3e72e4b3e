"""Where settings are tried: the same number for every method, half of them where safety is won.

Safety rises steeply with strength, and hypervolume and tax depend on how finely that rise is sampled. So
each method gets half of its budget over its whole range and the other half between the last strength below
the target and the first above it, on the development split.
"""

from __future__ import annotations

from collections.abc import Sequence

from sst_mergekit.demo.methods import Method, Settings
from sst_mergekit.demo.results import TARGET_SAFETY, Point


def coarse(method: Method, budget: int) -> list[Settings]:
    """Returns the first half of `budget`: strengths over the whole range, for each second setting."""
    low, high = method.strengths
    count = _per_value(method, budget)
    strengths = [low + (high - low) * i / max(1, count - 1) for i in range(count)]
    return [_settings(method, strength, value) for value in _values(method) for strength in strengths]


def fine(method: Method, budget: int, points: Sequence[Point]) -> list[Settings]:
    """Returns the second half of `budget`: strengths between those of `points`, the scored first half."""
    count = _per_value(method, budget)
    found: list[Settings] = []
    for value in _values(method):
        low, high = _bracket(method, [p for p in points if _second(method, p.settings) == value])
        parts = count + 1 + count % 2  # never the middle, which may have been tried
        steps = [(i + 1) / parts for i in range(count)]
        found += [_settings(method, low + (high - low) * step, value) for step in steps]
    return found


def _bracket(method: Method, points: Sequence[Point]) -> tuple[float, float]:
    """Returns the strengths below and above the target; around the safest where none reaches it."""
    line = sorted(points, key=lambda p: p.settings["strength"])
    strengths = [0.0, *(p.settings["strength"] for p in line)]
    safe = [i for i, p in enumerate(line) if p.dev.safety.value >= TARGET_SAFETY]
    if safe:
        return strengths[safe[0]], strengths[safe[0] + 1]
    safest = max(range(len(line)), key=lambda i: line[i].dev.safety.value)
    beyond = min(2 * strengths[-1] - strengths[-2], method.most)
    return strengths[safest], [*strengths, beyond][safest + 2]


def _per_value(method: Method, budget: int) -> int:
    return budget // (2 * len(_values(method)))


def _values(method: Method) -> Sequence[float | None]:
    return method.second[1] if method.second else (None,)


def _second(method: Method, settings: Settings) -> float | None:
    return settings[method.second[0]] if method.second else None


def _settings(method: Method, strength: float, value: float | None) -> Settings:
    settings = {"strength": round(strength, 4)}
    return settings if method.second is None or value is None else {**settings, method.second[0]: value}
