"""Experiment 2: how much of each task is left when more and more experts are merged into one model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sst_mergekit.core.settings import DEFAULTS
from sst_mergekit.experiments.names import short
from sst_mergekit.experiments.search import Search, searched
from sst_mergekit.experiments.strategies.strategy import Settings, listed
from sst_mergekit.experiments.targets import KEPT_BY_20, verdict
from sst_mergekit.experiments.tasks import Tasks
from sst_mergekit.jobs.runner import Runner
from sst_mergekit.jobs.unit import Unit
from sst_mergekit.metrics.estimate import mean, t_interval
from sst_mergekit.testbeds.model import Model, expert
from sst_mergekit.testbeds.shares import read_shares
from sst_mergekit.testbeds.tiny.facts import task_name

SETTINGS = 4  # tried on the development split for each method and number of experts
DENSITY = 0.7
Shares = dict[str, float]
Recipe = dict[str, Any]


def _weighed(method: str, **each: float) -> Callable[[list[str], float], Recipe]:
    def recipe(tasks: list[str], strength: float) -> Recipe:
        parameters = {"weight": strength, **each}
        return _recipe(method, [(task, parameters) for task in tasks], {"normalize": False})

    return recipe


def _sst(tasks: list[str], strength: float) -> Recipe:
    """Every expert's patch is filtered by what it would cost the others."""
    models = [(task, {"role": "expert", "fisher": f"unit:/{task}-kronecker"}) for task in tasks]
    return _recipe("sst", models, {"strength": strength, "cost": DEFAULTS.cost})


def _recipe(method: str, models: list[tuple[str, dict[str, Any]]], shared: dict[str, Any]) -> Recipe:
    return {
        "merge_method": method,
        "base_model": "unit:/base",
        "models": [{"model": f"unit:/base+unit:/{task}", "parameters": own} for task, own in models],
        "parameters": shared,
        "dtype": "float32",
    }


METHODS: dict[str, Callable[[list[str], float], Recipe]] = {
    "sst": _sst,
    "task_arithmetic": _weighed("task_arithmetic"),
    "ties": _weighed("ties", density=DENSITY),
    "dare_linear": _weighed("dare_linear", density=DENSITY),
    "dare_ties": _weighed("dare_ties", density=DENSITY),
    "knots": _weighed("knots", density=DENSITY),
}


def strengths(count: int) -> list[float]:
    """Return the strengths tried for so many experts: from their mean to their sum, evenly in proportion.

    >>> strengths(8)
    [0.125, 0.25, 0.5, 1.0]
    """
    return [round(count ** (i / (SETTINGS - 1) - 1), 4) for i in range(SETTINGS)]


@dataclass(frozen=True)
class Merged:
    """One method on one seed and number of experts: its chosen strength and what it keeps of each task."""

    seed: int
    count: int
    method: str
    strength: float
    shares: Shares


@dataclass(frozen=True)
class Alone:
    """One seed's base on all tasks, and each expert on its own: the shares that merges are held against."""

    base: Shares
    experts: Shares


def measured(
    tasks: Sequence[Tasks], counts: Sequence[int], runner: Runner
) -> tuple[dict[int, Alone], list[Merged]]:
    """Return what the unmerged models and every merge reach, by seed; strengths are chosen on development."""
    alone = {}
    for one in tasks:
        names = [task_name(number) for number in range(max(counts))]
        units = [one.score(expert("base"), "test", str(max(counts)))]
        units += [one.score(expert("base", name), "test", name) for name in names]
        base, *own = map(read_shares, runner.make(f"experts of seed {one.seed}", units))
        alone[one.seed] = Alone(base, {name: share[name] for name, share in zip(names, own, strict=True)})
    wanted = searches(tasks, counts)
    seen = searched("merges on the development split", list(wanted.values()), runner)
    chosen = [
        (*place, max(found, key=lambda pair: mean(list(pair[1].values())))[0]["strength"])
        for place, found in zip(wanted, seen, strict=True)
    ]
    test = runner.make("chosen merges on the test split", [merge_unit(*job, "test") for job in chosen])
    merged = [
        Merged(one.seed, count, method, strength, read_shares(path))
        for (one, count, method, strength), path in zip(chosen, test, strict=True)
    ]
    return alone, merged


def searches(tasks: Sequence[Tasks], counts: Sequence[int]) -> dict[tuple[Tasks, int, str], Search[Shares]]:
    """Return the search of a strength for each seed, number of experts and method."""

    def unit(one: Tasks, count: int, method: str, settings: Settings) -> Unit:
        return merge_unit(one, count, method, settings["strength"], "dev")

    return {
        (one, n, method): Search(
            listed({"strength": s} for s in strengths(n)), partial(unit, one, n, method), read_shares
        )
        for one in tasks
        for n in counts
        for method in METHODS
    }


def merge_unit(tasks: Tasks, count: int, method: str, strength: float, split: str) -> Unit:
    """Return the unit that merges the first `count` experts and scores the merge on a split."""
    names = [task_name(number) for number in range(count)]
    recipe = tasks.world.written(METHODS[method](names, strength))
    model = Model(f"{method}-{count}-experts-strength{strength:g}", {"recipe": recipe, "seed": tasks.seed})
    return tasks.score(model, split, str(count))


def report(
    alone: Mapping[int, Alone], merged: Sequence[Merged], counts: Sequence[int], config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the experiment's JSON, keyed by the number of experts; ``performance`` is SST-Merge's."""
    body: dict[str, Any] = {}
    for count in counts:
        methods = {
            short(method): _summary([m for m in merged if (m.count, m.method) == (count, method)], alone)
            for method in METHODS
        }
        body[str(count)] = {
            "performance": methods[short("sst")]["performance"],
            "num_experts": count,
            "methods": methods,
        }
    kept = body["20"]["performance"] if "20" in body else None
    target = verdict(f"20 experts keep {KEPT_BY_20:.0%}", kept, KEPT_BY_20, "20 experts were not merged")
    return body | {"targets": [target], "config": dict(config)}


def _summary(merges: Sequence[Merged], alone: Mapping[int, Alone]) -> dict[str, Any]:
    """Return the retained share of one method at one number of experts: mean over seeds, and each seed."""
    seeds = []
    for merge in merges:
        tasks = {name: _task(merge, name, alone[merge.seed]) for name in merge.shares}
        kept = [task["retained"] for task in tasks.values() if task["retained"] is not None]
        seeds.append(
            {
                "seed": merge.seed,
                "strength": merge.strength,
                "performance": mean(kept) if kept else None,
                "absolute": mean(list(merge.shares.values())),
                "tasks": tasks,
            }
        )
    known = [seed["performance"] for seed in seeds if seed["performance"] is not None]
    kept, margin = t_interval(known) if known else (None, None)
    return {"performance": kept, "margin": margin, "settings_tried": SETTINGS, "seeds": seeds}


def _task(merge: Merged, name: str, alone: Alone) -> dict[str, Any]:
    """Return what is left of one task: the merge's share of right answers over the expert's."""
    own = alone.experts[name]
    found = {"merged": merge.shares[name], "expert": own, "base": alone.base[name]}
    if own == 0:
        return found | {"retained": None, "reason": "the expert answers none of its questions"}
    return found | {"retained": merge.shares[name] / own}
