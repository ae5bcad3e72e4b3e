"""A baseline: its row, what it needs of a recipe, and its merge; and the recipes that rows have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from sst_mergekit.baselines.shared.method import Experts, Method, Recipe, Settings, recipe_of
from sst_mergekit.baselines.shared.roles import Roles

if TYPE_CHECKING:
    from torch import Tensor

ADDED = 0.7  # the first strength of a patch that is added whole
DENSITIES = ("density", (0.3, 0.6))


class Needs(NamedTuple):
    """Statistics that a parameter of a model names.

    Attributes:
        kind: of the statistics, in a comparison.
        role: of the models that need them; of all if empty.
        of_base: they are of the base model, on the data of the expert that names them.
    """

    kind: str
    role: str = ""
    of_base: bool = False


Statistics = Mapping[str, Needs]


class Part(NamedTuple):
    """One expert's part in a merge of adapters: its name and parameters, and its change of a weight.

    The change is ``left [d_out, r] @ right [r, d_in]``, or None.
    """

    model: str
    own: Mapping[str, Any]
    change: tuple[Tensor, Tensor] | None


Factors = Callable[[str, Mapping[str, Any], Mapping[str, Part]], "list[tuple[Tensor, Tensor]]"]


class Baseline(NamedTuple):
    """A method of others.

    Attributes:
        row: in a comparison; its name is that of the merge method.
        merge_method: makes mergekit's method; None where mergekit has it already.
        roles: that its models play, if any.
        statistics: that it reads, by the parameter that names them.
        factors: its merge of adapters, where that gives adapters: (name of a weight, shared parameters,
            role -> part) -> low-rank changes whose sum is the merged one.
    """

    row: Method
    merge_method: Callable[[], object] | None = None
    roles: Roles | None = None
    statistics: Statistics = {}
    factors: Factors | None = None


def with_statistics(body: dict[str, Any], experts: Experts, statistics: Statistics) -> dict[str, Any]:
    """Return a recipe of the two experts that names the statistics that they need."""
    for model, expert, data in zip(body["models"], ("utility", "safety"), ("benign", "harm"), strict=True):
        own = model["parameters"]
        for parameter, (kind, role, of_base) in statistics.items():
            if role in ("", own.get("role")):
                whose = f"base-on-{data}" if of_base else expert
                own[parameter] = f"{experts.statistics}/{whose}-{kind}"
    return body


def thinned(method: str) -> Recipe:
    """Return what makes recipes that thin the safety patch alone: strength 0 is the utility expert."""

    def recipe(experts: Experts, settings: Settings) -> dict[str, Any]:
        safety = {"weight": settings["strength"], "density": settings["density"]}
        return recipe_of(method, experts, {"weight": 1.0, "density": 1.0}, safety, {"normalize": False})

    return recipe


def averaged(method: str, statistics: Statistics) -> Recipe:
    """Return what makes recipes of a mean by statistics; strength is the safety expert's weight."""

    def recipe(experts: Experts, settings: Settings) -> dict[str, Any]:
        weight = settings["strength"]
        utility, safety = {"weight": round(1 - weight, 4)}, {"weight": weight}
        body = recipe_of(method, experts, utility, safety, {"on_missing": "average"})
        return with_statistics(body, experts, statistics)

    return recipe


def in_roles(method: str, role: str, statistics: Statistics | None = None, **names: str) -> Recipe:
    """Return what makes recipes of a utility expert and one in `role`.

    Args:
        method: of mergekit.
        role: of the safety expert.
        statistics: that it needs; what has none is kept.
        names: setting -> the parameter that it is, where that is another.
    """

    def recipe(experts: Experts, settings: Settings) -> dict[str, Any]:
        shared: dict[str, Any] = {names.get(key, key): value for key, value in settings.items()}
        shared |= {"on_missing": "keep"} if statistics else {}
        body = recipe_of(method, experts, {"role": "utility"}, {"role": role}, shared)
        return with_statistics(body, experts, statistics or {})

    return recipe


def restoring(method: str, role: str, **names: str) -> Recipe:
    """Return what makes recipes of a method for an aligned model that drifted, as `in_roles` does.

    Where there is one it is their base, and ours the unaligned model; a safe model is the aligned one then.
    """
    of_experts = in_roles(method, role, None, **names)

    def recipe(experts: Experts, settings: Settings) -> dict[str, Any]:
        body = of_experts(experts, settings)
        if experts.aligned:
            utility, safety = body["models"]
            unaligned = {"model": experts.base, "parameters": {"role": "unaligned"}}
            models = [utility, safety, unaligned] if role == "safety" else [utility, unaligned]
            body |= {"base_model": experts.aligned, "models": models}
        return body

    return recipe
