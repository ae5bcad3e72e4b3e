"""Where settings are tried: one number of settings for every method, most of them where safety is won.

A method with a second setting shares its budget out between that one's values. For each value the strength
is searched from the method's usual one: doubled or halved until the safety target of the development split
lies between two strengths, then the gap between them is halved. No strength is out of reach; where safety
falls before the target is met, the gaps beside the safest strength are halved. What is left of the budget
goes where safety rises most between two neighbours, so that the front is known there.
"""

from __future__ import annotations

from collections.abc import Sequence

from sst_mergekit.experiments.methods import Method, Settings
from sst_mergekit.experiments.results import TARGET_SAFETY, Point

CLOSE = 1.06  # a gap this narrow, as a ratio of strengths, is not halved again for the target's sake
FINE = 1.01  # nor for the front's


def propose(
    method: Method, budget: int, points: Sequence[Point], aim: float = TARGET_SAFETY
) -> list[Settings]:
    """Return the next settings to try, one for each value of a second one; none when the budget is spent.

    Args:
        method: whose settings.
        budget: how many it may try in all.
        points: what it has tried, with development scores.
        aim: the safety on the development split that is searched for.
    """
    values = _values(method)
    found = []
    for number, value in enumerate(values):
        tried = {
            p.settings["strength"]: p.dev.safety.value for p in points if _second(method, p.settings) == value
        }
        if len(tried) < (budget + number) // len(values):
            strength = _next(method, tried, aim)
            if _rounded(strength) in tried:  # too narrow a gap: the widest
                line = sorted(tried)
                gaps = zip([0.0, *line], line, strict=False)
                strength = sum(max(gaps, key=lambda gap: gap[1] - gap[0])) / 2
            found.append(_settings(method, strength, value))
    return found


def _next(method: Method, tried: dict[float, float], aim: float) -> float:
    """Return the next strength, from those tried and the safety that they reached."""
    line = sorted(tried)
    if not line:
        return method.strength
    safe = [strength for strength in line if tried[strength] >= aim]
    if not safe:
        return _beside_the_safest(line, tried, method.most)
    if safe[0] == line[0]:
        return line[0] / 2
    high = safe[0]
    low = line[line.index(high) - 1]
    if high > CLOSE * low:
        return (low + high) / 2
    known = [(0.0, 0.0), *((strength, tried[strength]) for strength in line)]
    gaps = [
        (abs(after[1] - before[1]), after[0] - before[0], (before[0] + after[0]) / 2)
        for before, after in zip(known, known[1:], strict=False)
        if after[0] > FINE * before[0]
    ]
    return max(gaps)[-1]


def _beside_the_safest(line: list[float], tried: dict[float, float], most: float) -> float:
    """Return twice the highest strength while safety rises, else the middle of a gap beside the safest."""
    best = max(tried.values())
    safest = {strength for strength in line if tried[strength] == best}
    if line[-1] < most and (best == 0 or safest == {line[-1]}):
        return min(2 * line[-1], most)
    gaps = [gap for gap in zip([0.0, *line], line, strict=False) if safest & set(gap)]
    return sum(max(gaps, key=lambda gap: (gap[1] - gap[0], gap))) / 2


def _values(method: Method) -> Sequence[float | None]:
    return method.second[1] if method.second else (None,)


def _second(method: Method, settings: Settings) -> float | None:
    return settings[method.second[0]] if method.second else None


def _rounded(strength: float) -> float:
    return float(f"{strength:.4g}")


def _settings(method: Method, strength: float, value: float | None) -> Settings:
    settings = {"strength": _rounded(strength)}
    return settings if method.second is None or value is None else {**settings, method.second[0]: value}
