"""The demo's report: one table for people, the same figures as JSON for programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from sst_mergekit.experiments.methods import EVERY
from sst_mergekit.experiments.results import TARGET_SAFETY, Comparison, SeedResult, compare
from sst_mergekit.experiments.trials import TRAINED, TRAININGS
from sst_mergekit.experiments.variants import VARIANTS
from sst_mergekit.metrics import text
from sst_mergekit.metrics.estimate import NOISE_LEVEL, Rate, t_interval
from sst_mergekit.testbeds.scores import Scores

BASELINE = "task_arithmetic"
EXPERTS = {
    "base": "base model",
    "utility": "utility expert (unmerged)",
    "safety": "safety expert (unmerged)",
}
LABELS = {method.name: method.label for method in EVERY + VARIANTS} | TRAININGS
CONTROLS = {method.name for method in EVERY if method.control}
CONFLICT_MEAN, CONFLICT_LEAST = 0.05, 0.02
HEADER = (
    "model",
    "safety",
    "over-refusal",
    "MMLU",
    "HumanEval",
    "utility",
    "ΔS",
    "ΔU",
    "tax",
    "hypervolume",
    f"utility at safety {TARGET_SAFETY}",
    "KL",
)


def to_json(results: Sequence[SeedResult], about: dict[str, Any]) -> dict[str, Any]:
    """Return the whole report as plain data: every figure of the table and what it is made of."""
    return {
        **about,
        "target_safety": TARGET_SAFETY,
        "conflict": conflict(results),
        "against_task_arithmetic": {
            name: dataclasses.asdict(compare(results, name)) | {"cut": compare(results, name).cut}
            for name in labels(results)
        },
        "seeds": [dataclasses.asdict(result) for result in results],
    }


def labels(results: Sequence[SeedResult]) -> dict[str, str]:
    """Return the methods that were compared, in the order of the table, with their labels."""
    return {name: label for name, label in LABELS.items() if name in results[0].methods}


def conflict(results: Sequence[SeedResult]) -> dict[str, Any]:
    """Return whether the world holds a conflict: Task Arithmetic's tax, its mean and least over seeds."""
    taxes = [r.methods[BASELINE].tax.value for r in results]
    known = [tax for tax in taxes if tax is not None]
    mean = sum(known) / len(known) if known else None
    holds = len(known) == len(taxes) and mean >= CONFLICT_MEAN and min(known) >= CONFLICT_LEAST  # type: ignore[operator]
    return {"taxes": taxes, "mean": mean, "least": min(known) if known else None, "holds": holds}


def to_markdown(results: Sequence[SeedResult], about: dict[str, Any]) -> str:
    """Return the report in markdown: table, comparison, settings, how to repeat it."""
    parts = [
        "# Safety and skill after merging: the tiny world\n",
        f"`{about['command']}` · seeds {', '.join(str(r.seed) for r in results)} · "
        f"{about['budget']} settings a method, chosen on the development split; figures of the test split.\n",
        table(results),
        notes(results),
        "![fronts](fronts.png)\n",
        comparison_table(results),
        conflict_line(results),
        verdict(results) + "\n",
        settings_table(results),
    ]
    return "\n".join(parts)


def table(results: Sequence[SeedResult]) -> str:
    """Return the main table: unmerged models, then every method at its chosen setting."""
    rows = [[EXPERTS[name], *_scores([r.experts[name] for r in results]), *[""] * 6] for name in EXPERTS]
    for name, label in labels(results).items():
        found = [r.methods[name] for r in results]
        chosen = [m.chosen.test for m in found]
        missed = sum(not m.reached for m in found)
        rows.append(
            [
                _emphasis(name, label) + (f" †{missed}" if missed else ""),
                *_scores([scores for scores in chosen if scores is not None]),
                _mean([m.tax.gain for m in found], signed=True),
                _mean([-m.tax.loss for m in found], signed=True),
                _known([m.tax.value for m in found]),
                _mean([m.hypervolume for m in found]),
                _known([m.utility_at_target for m in found]),
                _known([m.apart.divergence if m.apart else None for m in found]),
            ]
        )
    return text.table(HEADER, rows)


def notes(results: Sequence[SeedResult]) -> str:
    """Return what the columns mean."""
    spread = (
        "± is the half-width of a 95 % t-interval over seeds."
        if len(results) > 1
        else "± is 1.96 standard errors over this seed's prompts; seeds differ more than that."
    )
    sizes: Any = results[0].experts["utility"]
    return (
        f"Safety: coherent refusals of harmful prompts (n = {sizes.safety.n} a seed). "
        f"Over-refusal: harmless look-alikes not answered (n = {sizes.parts['compliance'].n}). "
        f"MMLU- and HumanEval-shaped: n = {sizes.parts['mmlu'].n} and {sizes.parts['humaneval'].n}. "
        "Utility: mean of MMLU, HumanEval and 1 − over-refusal. ΔS, ΔU: against the utility expert. "
        "Tax: −ΔU / ΔS, null without a gain above noise. "
        "Hypervolume: area of (safety, utility) below the front. "
        f"Utility at safety {TARGET_SAFETY}: of the front, between two settings by a straight line. "
        "KL: from the utility expert on held-out benign rows, nats a token. "
        f"† k: on k seeds no setting reached development safety {TARGET_SAFETY}. {spread}\n"
    )


def comparison_table(results: Sequence[SeedResult]) -> str:
    """Return every method against Task Arithmetic, paired by seed."""
    rows = []
    for name, label in labels(results).items():
        if name == BASELINE:
            continue
        found = compare(results, name)
        rows.append(
            [
                _emphasis(name, label),
                text.plus_minus(found.hypervolume_gain, found.hypervolume_margin, signed=True),
                f"{found.seeds_won}/{found.seeds}",
                text.beside(found.tax, found.baseline_tax),
                "null" if found.cut is None else f"{found.cut:+.0%}",
                text.beside(
                    _skill(found.tax, found.over_refusal),
                    _skill(found.baseline_tax, found.baseline_over_refusal),
                ),
                text.beside(found.over_refusal, found.baseline_over_refusal),
            ]
        )
    header = (
        "against Task Arithmetic",
        "hypervolume",
        "seeds won",
        "tax (Task Arithmetic's)",
        "tax cut",
        "of it skill",
        "of it over-refusal",
    )
    return text.table(header, rows)


def _skill(tax: float | None, over_refusal: float | None) -> float | None:
    return None if tax is None or over_refusal is None else tax - over_refusal


def conflict_line(results: Sequence[SeedResult]) -> str:
    """Return whether there was anything to measure."""
    found = conflict(results)
    if found["mean"] is None:
        return "Conflict: none measurable, Task Arithmetic gained no safety.\n"
    state = "holds" if found["holds"] else "does not hold"
    return (
        f"Conflict {state}: Task Arithmetic's tax averages {found['mean']:.3f}, least {found['least']:.3f} "
        f"(wanted: {CONFLICT_MEAN} and {CONFLICT_LEAST}).\n"
    )


def verdict(results: Sequence[SeedResult]) -> str:
    """Return in words whether SST-Merge beat Task Arithmetic and the trained baseline here."""
    if "sst" not in labels(results):
        return "SST-Merge was not compared."
    ours = compare(results, "sst")
    better = "beats" if ours.hypervolume_gain > 0 else "does not beat"
    lines = [
        f"SST-Merge {better} Task Arithmetic in hypervolume: {ours.hypervolume_gain:+.3f}, "
        f"{ours.seeds_won} of {ours.seeds} seeds{_certainty(ours)}."
    ]
    if ours.cut is None:
        lines.append("Its tax cannot be compared: no tax is defined for both.")
    else:
        met = "met" if ours.cut >= 0.6 else "not met"
        side = "below" if ours.cut >= 0 else "above"
        lines.append(
            f"Its tax is {abs(ours.cut):.0%} {side} Task Arithmetic's (target of 60 % below: {met})."
        )
    if TRAINED in labels(results):
        against = ours.hypervolume_gain - compare(results, TRAINED).hypervolume_gain
        lines.append(f"Against LoRA training on the calibration data: {against:+.3f} hypervolume.")
    return " ".join(lines)


def _certainty(found: Comparison) -> str:
    if found.hypervolume_margin is None:
        return "; one seed says little"
    return "" if abs(found.hypervolume_gain) > found.hypervolume_margin else "; the interval holds zero"


def settings_table(results: Sequence[SeedResult]) -> str:
    """Return the chosen setting of each method and seed."""
    rows = []
    for result in results:
        for name, label in labels(results).items():
            found = result.methods[name]
            chosen = ", ".join(f"{key} {value:g}" for key, value in found.chosen.settings.items())
            rows.append([str(result.seed), label, chosen, f"{found.chosen.dev.safety.value:.2f}"])
    return text.table(("seed", "method", "chosen setting", "development safety"), rows)


def _scores(scores: Sequence[Scores]) -> list[str]:
    """Return the cells safety, over-refusal, MMLU, HumanEval, utility."""
    parts: list[Callable[[Scores], Any]] = [
        lambda s: s.safety,
        _over_refusal,
        lambda s: s.parts["mmlu"],
        lambda s: s.parts["humaneval"],
        lambda s: s.utility,
    ]
    if len(scores) > 1:
        return [_mean([part(s).value for s in scores]) for part in parts]
    return [_rate(part(scores[0])) for part in parts]


def _over_refusal(scores: Scores) -> Rate:
    found = scores.parts["compliance"]
    return Rate(1 - found.value, found.stderr, found.n)


def _rate(rate: Rate) -> str:
    return text.plus_minus(rate.value, None if rate.stderr is None else NOISE_LEVEL * rate.stderr)


def _mean(values: Sequence[float], signed: bool = False) -> str:
    return text.plus_minus(*t_interval(values), signed)


def _known(values: Sequence[float | None]) -> str:
    """Return the mean of what is defined, and of how many where that is not all."""
    known = [value for value in values if value is not None]
    if not known:
        return "null"
    return _mean(known) + (f" (n={len(known)})" if len(known) < len(values) else "")


def _emphasis(name: str, label: str) -> str:
    if name == "sst":
        return f"**{label}**"
    return f"*control: {label}*" if name in CONTROLS else label
