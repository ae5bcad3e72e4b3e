"""The methods that are compared, each as mergekit recipes over its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sst_mergekit.baselines import found as baselines
from sst_mergekit.baselines import mergekit_own
from sst_mergekit.baselines.shared.baseline import DENSITIES
from sst_mergekit.baselines.shared.method import Experts as Experts
from sst_mergekit.baselines.shared.method import Method as Method
from sst_mergekit.baselines.shared.method import Recipe
from sst_mergekit.baselines.shared.method import Settings as Settings
from sst_mergekit.baselines.shared.method import recipe_of as recipe_of
from sst_mergekit.core.settings import DEFAULTS, GEOMETRY

if TYPE_CHECKING:
    EVERY: tuple[Method, ...]


def sst_recipe(**shared: Any) -> Recipe:
    """Return what makes SST recipes with shared parameters `shared` and those of the settings.

    The utility expert keeps its norms and embeddings, which the safety adapter does not touch.
    """
    kind = shared.get("geometry", GEOMETRY)

    def recipe(experts: Experts, settings: Settings) -> dict[str, Any]:
        utility, safety = experts.fisher(kind)
        return recipe_of(
            "sst",
            experts,
            {"role": "utility", "fisher": utility},
            {"role": "safety", "fisher": safety},
            {**shared, **settings},
        )

    return recipe


REFIT_RATES = (1.5e-3, 6e-3)


def _refitted(experts: Experts, settings: Settings) -> dict[str, Any]:
    """A refitted patch is an adapter on the utility expert."""
    adapter = f"{experts.utility}+{experts.refits}/{settings['rate']:g}"
    return {
        "merge_method": "task_arithmetic",
        "base_model": experts.utility,
        "models": [{"model": adapter, "parameters": {"weight": settings["strength"]}}],
        "parameters": {"normalize": False},
        "dtype": "float32",
    }


COSTS, FIRST = ("cost", (0.1, 1.0)), 0.9  # on both sides of the default, and the first strength
_OWN = {row.name: row for row in mergekit_own.ROWS}
METHODS = (
    _OWN["task_arithmetic"],
    _OWN["ties"],
    _OWN["dare_ties"],
    Method(
        "sst",
        "SST-Merge",
        FIRST,
        COSTS,
        sst_recipe(filter=DEFAULTS.filter),
        published=("SST-Merge", "SST-Merge"),
    ),
    Method("sst_refit", "SST-Merge, refitted", 1.0, ("rate", REFIT_RATES), _refitted),
    Method(
        "sst_shuffled", "SST, weights shuffled", FIRST, COSTS, sst_recipe(filter="shuffled"), control=True
    ),
)


def _sst(name: str, label: str, second: tuple = COSTS, control: bool = False, **shared: str) -> Method:
    return Method(f"sst_{name}", label, FIRST, second, sst_recipe(**shared), control)


OTHERS = (  # every other geometry and filter of SST
    _sst("soft", "SST, soft", filter="soft"),
    _sst("hard", "SST, hard", DENSITIES, filter="hard"),
    _sst("activation", "SST, activation", geometry="activation"),
    _sst("diagonal", "SST, diagonal", geometry="diagonal"),
    _sst("diagonal_hard", "SST, diagonal, hard", DENSITIES, geometry="diagonal", filter="hard"),
    _sst("subspace", "SST, subspace", geometry="subspace"),
    _sst("unbalanced", "SST without balance", balance="none"),
    _sst("data_free", "SST, no data", filter="data_free"),
    _sst("random", "random subspace", DENSITIES, control=True, filter="random"),
    _sst("magnitude", "largest entries", DENSITIES, control=True, filter="magnitude"),
    _sst("svd", "top singular directions", DENSITIES, control=True, filter="svd"),
)


def __getattr__(name: str) -> object:
    """Load ``EVERY`` the first time it is asked for: the baselines' formulas need torch."""
    if name != "EVERY":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    there = {method.name for method in METHODS}
    every = (*METHODS, *OTHERS, *(each.row for each in baselines() if each.row.name not in there))
    globals()["EVERY"] = every
    return every
