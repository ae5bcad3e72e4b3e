"""Results that no model made: for what is computed from them."""

from __future__ import annotations

from sst_mergekit.experiments.results import Point, SeedResult, method_result
from sst_mergekit.metrics.estimate import Rate
from sst_mergekit.testbeds.scores import Scores

METHODS = ("task_arithmetic", "ties", "dare_linear", "agl", "sst")


def scores(safety: float, utility: float) -> Scores:
    """Scores whose three parts of utility are equal."""
    part = Rate(utility, 0.01, 40)
    return Scores(Rate(safety, 0.01, 50), dict.fromkeys(("mmlu", "humaneval", "compliance"), part))


UTILITY = scores(0.1, 0.9)


def method(safety: float, utility: float):
    """A method that tried one setting, which reached this on both splits."""
    both = scores(safety, utility)
    return method_result([Point({"strength": 1.0}, both, both)], UTILITY)


def seed_result(seed: int, **reached: tuple[float, float]) -> SeedResult:
    """Every method at safety 0.9 and utility 0.7, but for those of `reached`."""
    places = dict.fromkeys(METHODS, (0.9, 0.7)) | reached
    experts = {"base": scores(0.0, 0.5), "utility": UTILITY, "safety": scores(1.0, 0.4)}
    return SeedResult(seed, experts, {name: method(*place) for name, place in places.items()})
