"""SST's default varied in one thing at a time: cost, damping, where and on how much statistics are measured.

``sst-mergekit demo --variants`` runs them beside the methods of the demo's table, each with the same budget.
Those of a fixed cost have one setting, as Task Arithmetic has: their strengths lie as close as its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sst_mergekit.experiments.methods import Experts, Method, Settings, recipe_of

_STRENGTH = 1.0
_COSTS = ("cost", (0.1, 1.0))
_UTILITY, _SAFETY = "utility-kronecker", "safety-kronecker"


def _recipe(benign: str, harm: str, **shared: Any) -> Callable[[Experts, Settings], dict[str, Any]]:
    """Return what makes SST recipes with these statistics and shared parameters."""

    def recipe(experts: Experts, settings: Settings) -> dict[str, Any]:
        utility = {"role": "utility", "fisher": f"{experts.statistics}/{benign}"}
        safety = {"role": "safety", "fisher": f"{experts.statistics}/{harm}"}
        return recipe_of("sst", experts, utility, safety, {**shared, **settings})

    return recipe


def _costs(name: str, label: str, cost: Any) -> Method:
    return Method(f"sst_{name}", f"SST, {label}", _STRENGTH, None, _recipe(_UTILITY, _SAFETY, cost=cost))


def _varied(name: str, label: str, benign: str = _UTILITY, harm: str = _SAFETY, **shared: Any) -> Method:
    return Method(f"sst_{name}", f"SST, {label}", _STRENGTH, _COSTS, _recipe(benign, harm, **shared))


VARIANTS = (
    _costs("cost_0.03", "cost .03 alone", 0.03),
    _costs("cost_0.1", "cost .1 alone", 0.1),
    _costs("cost_0.3", "cost .3 alone", 0.3),
    _costs("cost_1", "cost 1 alone", 1.0),
    _costs("cost_3", "cost 3 alone", 3.0),
    _varied("damping_0.03", "damping .03", damping=0.03),
    _varied("damping_0.3", "damping .3", damping=0.3),
    _varied("harm_at_utility", "harm at the utility expert", harm="utility-on-harm-kronecker"),
    _varied("at_half", "both at θᵤ + ½Δ", "half-on-benign-kronecker", "half-on-harm-kronecker"),
    _varied("given", "benign labels given", benign="utility-given-kronecker"),
    _varied("harm_alone", "no look-alikes in the harm statistics", harm="safety-on-harm-alone-kronecker"),
    _varied("few", "64 samples", "utility-kronecker@64", "safety-kronecker@64"),
)
