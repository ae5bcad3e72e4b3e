"""The rest of the family: every other geometry and filter of SST, mergekit's other methods, and the rivals.

``sst-mergekit demo --family`` runs them beside the methods of the demo's table, each with the same budget.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sst_mergekit.experiments.methods import METHODS, Experts, Method, Settings, recipe_of, sst_recipe

DATA = ("benign", "harm")  # of the utility and of the safety expert
_COSTS = ("cost", (0.1, 1.0))
_DENSITIES = ("density", (0.3, 0.6))
_ADDED = 0.7  # the first strength of a patch that is added whole
_FILTERED = 0.9  # and of one that is filtered


def _sst(
    name: str, label: str, second: tuple | None = _COSTS, control: bool = False, **shared: str
) -> Method:
    return Method(f"sst_{name}", label, _FILTERED, second, sst_recipe(**shared), control)


def _linear(experts: Experts, settings: Settings) -> dict[str, Any]:
    weight = settings["strength"]
    body = recipe_of("linear", experts, {"weight": round(1 - weight, 4)}, {"weight": weight}, {})
    del body["base_model"], body["parameters"]
    return body


def _of_mergekit(method: str) -> Callable[[Experts, Settings], dict[str, Any]]:
    """Sparsifying methods of mergekit: only the safety patch is thinned."""

    def recipe(experts: Experts, settings: Settings) -> dict[str, Any]:
        safety = {"weight": settings["strength"], "density": settings["density"]}
        return recipe_of(method, experts, {"weight": 1.0, "density": 1.0}, safety, {"normalize": False})

    return recipe


def _weighed(method: str, kind: str) -> Callable[[Experts, Settings], dict[str, Any]]:
    """Means of both experts by statistics; strength is the safety expert's weight."""

    def recipe(experts: Experts, settings: Settings) -> dict[str, Any]:
        weight = settings["strength"]
        fisher = experts.fisher(kind)
        utility = {"weight": round(1 - weight, 4), "fisher": fisher[0]}
        safety = {"weight": weight, "fisher": fisher[1]}
        return recipe_of(method, experts, utility, safety, {"on_missing": "average"})

    return recipe


def _roles(method: str, role: str, **names: str) -> Callable[[Experts, Settings], dict[str, Any]]:
    """Rivals by role; `names` says which of their parameters a setting is."""

    def recipe(experts: Experts, settings: Settings) -> dict[str, Any]:
        shared = {names.get(key, key): value for key, value in settings.items()}
        return recipe_of(method, experts, {"role": "utility"}, {"role": role}, shared)

    return recipe


def _restoring(method: str, role: str, **names: str) -> Callable[[Experts, Settings], dict[str, Any]]:
    """Rivals made for an aligned model that drifted: there it is their base, and ours the unaligned model.

    SafeMERGE's safe model is the aligned one then.
    """
    of_experts = _roles(method, role, **names)

    def recipe(experts: Experts, settings: Settings) -> dict[str, Any]:
        body = of_experts(experts, settings)
        if experts.aligned:
            utility, safety = body["models"]
            unaligned = {"model": experts.base, "parameters": {"role": "unaligned"}}
            models = [utility, safety, unaligned] if role == "safety" else [utility, unaligned]
            body |= {"base_model": experts.aligned, "models": models}
        return body

    return recipe


def _agl(experts: Experts, settings: Settings) -> dict[str, Any]:
    safety = {"role": "safety", "fisher": experts.fisher("kronecker")[1]}
    shared = {**settings, "on_missing": "keep"}
    return recipe_of("agl", experts, {"role": "utility"}, safety, shared)


def _led(experts: Experts, settings: Settings) -> dict[str, Any]:
    density = settings["density"]
    own, base = experts.fisher("diagonal"), [f"{experts.statistics}/base-on-{d}-diagonal" for d in DATA]
    utility = {"weight": 1.0, "density": density, "fisher": own[0], "fisher_base": base[0]}
    safety = {"weight": settings["strength"], "density": density, "fisher": own[1], "fisher_base": base[1]}
    return recipe_of("led", experts, utility, safety, {"on_missing": "average"})


def _safe_delta(experts: Experts, settings: Settings) -> dict[str, Any]:
    """Strength 0 is the utility expert, 1 the safety expert: the budget is what is left."""
    aligned = {"role": "aligned", "fisher": experts.fisher("activation")[1]}
    shared = {
        "budget": round(1 - settings["strength"], 4),
        "density": settings["density"],
        "unit": "share",
        "on_missing": "keep",
    }
    return recipe_of("safe_delta", experts, {"role": "utility"}, aligned, shared)


def _null_space(experts: Experts, settings: Settings) -> dict[str, Any]:
    utility = {"role": "utility", "fisher": experts.fisher("activation")[0]}
    return recipe_of("null_space", experts, utility, {"role": "safety"}, {**settings, "on_missing": "keep"})


def _sce(experts: Experts, settings: Settings) -> dict[str, Any]:
    return recipe_of("sce", experts, {}, {}, {"select_topk": settings["strength"]})


def _knots(experts: Experts, settings: Settings) -> dict[str, Any]:
    safety = {"weight": settings["strength"], "density": settings["density"]}
    return recipe_of("knots", experts, {"weight": 1.0, "density": 1.0}, safety, {"normalize": False})


def _dare_svd(experts: Experts, settings: Settings) -> dict[str, Any]:
    utility, safety = {"weight": 1.0}, {"weight": settings["strength"]}
    return recipe_of("dare_svd", experts, utility, safety, {"drop": settings["drop"]})


FAMILY = (
    _sst("soft", "SST, soft", filter="soft"),
    _sst("hard", "SST, hard", _DENSITIES, filter="hard"),
    _sst("activation", "SST, activation", geometry="activation"),
    _sst("diagonal", "SST, diagonal", geometry="diagonal"),
    _sst("diagonal_hard", "SST, diagonal, hard", _DENSITIES, geometry="diagonal", filter="hard"),
    _sst("ekfac", "SST, EK-FAC", geometry="ekfac"),
    _sst("subspace", "SST, subspace", geometry="subspace"),
    _sst("unbalanced", "SST without balance", balance="none"),
    _sst("data_free", "SST, no data", filter="data_free"),
    _sst("random", "random subspace", _DENSITIES, control=True, filter="random"),
    _sst("magnitude", "largest entries", _DENSITIES, control=True, filter="magnitude"),
    _sst("svd", "top singular directions", _DENSITIES, control=True, filter="svd"),
    Method("linear", "linear", 0.5, None, _linear, most=0.99),
    Method("dare_linear", "DARE", _ADDED, ("density", (0.5, 0.7)), _of_mergekit("dare_linear")),
    Method("breadcrumbs", "Breadcrumbs", _ADDED, ("density", (0.5, 0.7)), _of_mergekit("breadcrumbs")),
    Method("della", "DELLA", _ADDED, ("density", (0.5, 0.7)), _of_mergekit("della")),
    Method("sce", "SCE", 0.5, None, _sce, most=1.0),
    Method("fisher", "Fisher merging", 0.5, None, _weighed("fisher", "diagonal"), most=1.0),
    Method("regmean", "RegMean", 0.5, None, _weighed("regmean", "activation"), most=1.0),
    Method(
        "safemerge",
        "SafeMERGE",
        0.5,
        ("threshold", (0.35, 0.8)),
        _restoring("safemerge", "safety"),
        most=1.0,
    ),
    Method(
        "safe_lora",
        "Safe LoRA",
        0.5,
        None,
        _restoring("safe_lora", "aligned", strength="threshold"),
        most=1.0,
    ),
    Method("resta", "RESTA with DARE", _ADDED, ("drop", (0.1, 0.3)), _restoring("resta", "aligned")),
    Method("mergealign", "MergeAlign", 0.5, None, _roles("mergealign", "safety"), most=1.0),
    Method("lox", "LoX", 0.5, ("extrapolation", (0.5, 1.25)), _restoring("lox", "aligned")),
    Method("agl", "AlignGuard-LoRA, post hoc", _ADDED, ("penalty", (0.3, 1.0)), _agl),
    Method("knots", "KnOTS", _ADDED, _DENSITIES, _knots),
    Method("led", "LED-Merging", _ADDED, ("density", (0.1, 0.5)), _led),
    Method("dare_svd", "DARE on singular components", _ADDED, ("drop", (0.3, 0.5)), _dare_svd),
    Method("safe_delta", "Safe Delta", 0.5, ("density", (0.85, 1.0)), _safe_delta, most=1.0),
    Method(
        "null_space",
        "null space of benign inputs",
        _FILTERED,
        ("energy", (0.9, 0.99)),
        _null_space,
    ),
)
EVERY = METHODS + FAMILY
