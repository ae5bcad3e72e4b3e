"""Where settings are tried: one number of settings for every method, most of them where safety is won.

A method with a second setting shares its budget out between that one's values. For each value the strength
is searched from the method's usual one: doubled or halved until the safety target of the development split
lies between two strengths, then the gap between them is halved. No strength is out of reach; where safety
falls before the target is met, the gaps beside the safest strength are halved. What is left of the budget
goes where safety rises most between two neighbours, so that the front is known there.
"""

from __future__ import annotations

from sst_mergekit.experiments.methods import Method, Settings
from sst_mergekit.experiments.results import TARGET_SAFETY
from sst_mergekit.experiments.strategies.strategy import Seen, Strategy
from sst_mergekit.testbeds.scores import Scores

CLOSE = 1.06  # a gap this narrow, as a ratio of strengths, is not halved again for the target's sake
FINE = 1.01  # nor for the front's


def bracket(method: Method, budget: int, aim: float = TARGET_SAFETY) -> Strategy[Scores]:
    """Return the strategy that tries one strength at a time for each value of a second setting.

    Args:
        method: whose settings.
        budget: how many it may try in all.
        aim: the safety on the development split that is searched for.
    """
    values = method.second[1] if method.second else (None,)

    def strategy(seen: Seen[Scores]) -> list[Settings]:
        found = []
        for number, value in enumerate(values):
            of_value = [pair for pair in seen if _second(method, pair[0]) == value]
            tried = {settings["strength"]: scores.safety.value for settings, scores in of_value}
            if len(tried) < (budget + number) // len(values):
                found.append(_settings(method, _fresh(method, tried, aim), value))
        return found

    return strategy


def _fresh(method: Method, tried: dict[float, float], aim: float) -> float:
    """Return the next strength, in the middle of the widest gap where the best gap is too narrow."""
    strength = _next(method, tried, aim)
    if _rounded(strength) not in tried:
        return strength
    line = sorted(tried)
    gaps = zip([0.0, *line], line, strict=False)
    return sum(max(gaps, key=lambda gap: gap[1] - gap[0])) / 2


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


def _second(method: Method, settings: Settings) -> float | None:
    return settings[method.second[0]] if method.second else None


def _rounded(strength: float) -> float:
    return float(f"{strength:.4g}")


def _settings(method: Method, strength: float, value: float | None) -> Settings:
    settings = {"strength": _rounded(strength)}
    return settings if method.second is None or value is None else {**settings, method.second[0]: value}
