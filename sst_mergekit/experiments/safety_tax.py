"""Experiment 1: what the merged model won in safety, and what it paid, beside the experts it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sst_mergekit.experiments.chosen import EXPERTS, chosen_models
from sst_mergekit.experiments.results import SeedResult
from sst_mergekit.experiments.tasks import Bed
from sst_mergekit.jobs.runner import Runner
from sst_mergekit.jobs.unit import Unit
from sst_mergekit.metrics.estimate import UNIT, Rate, mean, over_seeds, t_interval
from sst_mergekit.testbeds.model import Model
from sst_mergekit.testbeds.scores import scores_of
from sst_mergekit.testbeds.scoring import Table, read_table

METHOD = "sst"
MERGED = "SST-Merge"
JAILBREAK = "sst_jailbreak"
JAILBREAK_LENGTH = 768  # tokens: wrapped prompts are longer, and letter by letter in the tiny world
# the figure, its task and its metric
FIGURES = {
    "refusal_rate": ("sst_beavertails_refusal", "refusal_rate"),
    "degenerate_rate": ("sst_beavertails_refusal", "degenerate_rate"),
    "jailbreak_resistance": (JAILBREAK, "resistance_rate"),
    "attack_success_rate": (JAILBREAK, "attack_success_rate"),
    "jailbreak_degenerate_rate": (JAILBREAK, "degenerate_rate"),
    "over_refusal": ("sst_over_refusal", "false_refusal_rate"),
    "compliance": ("sst_over_refusal", "compliance_rate"),
    "mmlu": ("sst_mmlu", "acc"),
    "humaneval": ("sst_humaneval", "pass_at_1"),
}
DEFINITIONS = {
    "refusal_rate": "share of harmful prompts with a coherent refusal",
    "jailbreak_resistance": "share of wrapped harmful prompts with a coherent refusal",
    "utility": "mean of MMLU accuracy, HumanEval pass@1 and compliance with harmless look-alikes",
    "safety_tax": "(baseline_utility - utility.score) / (safety.refusal_rate - baseline_safety) of a seed, "
    "then the mean over the seeds that have one",
    "baseline": "the utility expert, measured on the same prompts",
    "intervals": "95 %: over seeds by Student's t; with one seed over prompts, by 1.96 standard errors",
}
Seed = dict[str, Table]  # the tables of one seed by model


def measured(
    worlds: Sequence[Bed], results: Sequence[SeedResult], samples: int | None, runner: Runner
) -> list[Seed]:
    """Return every model's tables on the test split, jailbreaks included.

    Args:
        worlds: one a seed.
        results: of tuning SST-Merge on them.
        samples: harmful prompts under each jailbreak wrapping, at most (None: all).
        runner: makes the units.
    """
    jobs = [
        (world, name, model)
        for world, result in zip(worlds, results, strict=True)
        for name, model in chosen_models(world, result).items()
    ]
    plain = runner.make("score on the test split", [world.score(model, "test") for world, _, model in jobs])
    units = [attack_unit(world, model, samples) for world, _, model in jobs]
    attacked = runner.make("score under jailbreaks", units)
    seeds: dict[int, Seed] = {world.seed: {} for world in worlds}
    for (world, name, _), path, attack in zip(jobs, plain, attacked, strict=True):
        seeds[world.seed][name] = {**read_table(path), **read_table(attack)}
    return [seeds[world.seed] for world in worlds]


def attack_unit(world: Bed, model: Model, samples: int | None) -> Unit:
    """Return the unit that scores a model on wrapped prompts."""
    count = min(samples or world.harmful_prompts, world.harmful_prompts)
    return world.score(model, "test", (JAILBREAK,), count, JAILBREAK_LENGTH)


def report(
    worlds: Sequence[Bed],
    results: Sequence[SeedResult],
    seeds: Sequence[Seed],
    config: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the experiment's JSON: the merged model's figures on top, every model's below."""
    models = {name: pooled([seed[name] for seed in seeds]) for name in seeds[0]}
    merged, utility = models[MERGED], models[EXPERTS["utility"]]
    found = [result.methods[METHOD] for result in results]
    taxes = [one.tax.value for one in found if one.tax.value is not None]
    reasons = [one.tax.reason for one in found if one.tax.reason is not None]
    return {
        "safety": {
            "refusal_rate": merged["refusal_rate"]["value"],
            "jailbreak_resistance": merged["jailbreak_resistance"]["value"],
            "total_samples": merged["refusal_rate"]["n"],
            "jailbreak_samples": merged["jailbreak_resistance"]["n"],
            "degenerate_rate": merged["degenerate_rate"]["value"],
        },
        "utility": {
            "accuracy": merged["mmlu"]["value"],
            "total_samples": merged["mmlu"]["n"],
            "humaneval": merged["humaneval"]["value"],
            "humaneval_samples": merged["humaneval"]["n"],
            "over_refusal": merged["over_refusal"]["value"],
            "over_refusal_samples": merged["over_refusal"]["n"],
            "score": merged["utility"]["value"],
        },
        "safety_tax": mean(taxes) if taxes else None,
        "safety_tax_reason": None if taxes else reasons[0],
        "safety_tax_seeds": len(taxes),
        "baseline_safety": utility["refusal_rate"]["value"],
        "baseline_utility": utility["utility"]["value"],
        "safety_gain": _over_seeds([one.tax.gain for one in found]),
        "utility_loss": _over_seeds([one.tax.loss for one in found]),
        "models": models,
        "seeds": [
            {"seed": world.seed, "settings": one.chosen.settings, "safety_tax": one.tax.value}
            | {"reason": one.tax.reason, "models": {name: pooled([seed[name]]) for name in seed}}
            for world, one, seed in zip(worlds, found, seeds, strict=True)
        ],
        "definitions": DEFINITIONS,
        "config": dict(config),
    }


def pooled(tables: Sequence[Table]) -> dict[str, dict[str, Any]]:
    """Return each figure of one model over its seeds, with its interval and the prompts of a seed."""
    found = {
        figure: _figure([table[task][metric] for table in tables])
        for figure, (task, metric) in FIGURES.items()
    }
    return found | {"utility": _figure([scores_of(table).utility for table in tables])}


def _figure(rates: Sequence[Rate]) -> dict[str, Any]:
    """Return a mean with its 95 % interval, kept to 0..1; None where it is unknown."""
    found = over_seeds([rate.value for rate in rates], rates[0].stderr, UNIT)
    return {"value": found.value, "low": found.low, "high": found.high, "n": rates[0].n, "seeds": found.n}


def _over_seeds(values: Sequence[float]) -> dict[str, Any]:
    mean, margin = t_interval(values)
    return {"mean": mean, "margin": margin, "seeds": len(values)}
