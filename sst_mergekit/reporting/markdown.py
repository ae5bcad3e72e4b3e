"""The report as markdown: the tables; charts and answers are in the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sst_mergekit.metrics.text import number, p_value, table, text
from sst_mergekit.reporting.build import Part
from sst_mergekit.reporting.charts import settings_text
from sst_mergekit.reporting.groups import Grouped
from sst_mergekit.reporting.pairs import OURS, Difference, ours
from sst_mergekit.reporting.results import STUDY
from sst_mergekit.reporting.styles import label

TAX = ("utility", "ΔS", "ΔU", "tax", "hypervolume", "KL", "perplexity")
EXPERIMENT_1 = {
    "refusal_rate": "refusal",
    "jailbreak_resistance": "jailbreak resistance",
    "over_refusal": "over-refusal",
    "mmlu": "MMLU",
    "humaneval": "HumanEval",
    "utility": "utility",
}


def to_markdown(parts: Iterable[Part]) -> str:
    """Return the report of all parts."""
    return "\n".join(["# Safety and skill after merging\n", *(_part(part) for part in parts)])


def _part(part: Part) -> str:
    seeds = ", ".join(map(str, part.seeds))
    sections = [
        f"## {part.model}, {part.mode}, seeds {seeds}\n",
        "The fronts, curves and answers are in [report.html](report.html). Intervals are of 95 %.\n",
        *_targets(part),
        *_taxes(part),
        *_experiment_1(part),
        *_pairs(part.pairs),
        *(line for heading, found in _sections(part).items() for line in _grouped(heading, found)),
        *_retained(part),
        *_recipes(part),
        *_runs(part),
    ]
    return "\n".join(sections)


def _sections(part: Part) -> dict[str, Grouped]:
    """Return the rates by group of prompts; of a study those that it has."""
    found = {
        "Refusals by category of harm": part.categories,
        "MMLU by subject": part.subjects,
        "Refusals by jailbreak wrapping": part.wrappings,
    }
    return {name: each for name, each in found.items() if part.mode != STUDY or not each.reason}


def _targets(part: Part) -> list[str]:
    if not part.targets:
        return []
    rows = [
        (
            one["target"],
            f"– ({one['reason']})" if one["measured"] is None else number(one["measured"]),
            one["verdict"],
        )
        for one in part.targets
    ]
    return ["### Targets\n", table(("target", "measured", "verdict"), rows)]


def _taxes(part: Part) -> list[str]:
    if not part.taxes:
        return []
    rows = [
        [
            label(row.name) + (f" †{row.missed}" if row.missed else ""),
            *(text(one) for one in (row.safety, *row.parts.values(), row.utility)),
            *(text(one, signed=True) for one in (row.gain, row.loss)),
            *(text(one) for one in (row.tax, row.hypervolume, row.divergence, row.perplexity)),
        ]
        for row in part.taxes
    ]
    note = (
        "ΔS: safety won, ΔU: utility lost, both against the utility expert. Tax: ΔU / ΔS of a seed, then the "
        "mean. KL from the utility expert (nats a token) and perplexity: on held-out benign rows. † k: on "
        "k seeds no setting reached on development what settings are chosen by.\n"
    )
    return ["### Safety tax\n", table(("model", "safety", *part.taxes[0].parts, *TAX), rows), note]


def _experiment_1(part: Part) -> list[str]:
    if not part.models:
        return []
    rows = [[label(name), *(text(found[key]) for key in EXPERIMENT_1)] for name, found in part.models.items()]
    return ["### SST-Merge beside its experts\n", table(("model", *EXPERIMENT_1.values()), rows)]


def _pairs(pairs: list[Difference]) -> list[str]:
    if not pairs:
        return []
    rows = [
        (
            pair.metric,
            f"{OURS} − {label(pair.against)}",
            text(pair.difference, signed=True),
            f"{pair.won}/{pair.pairs}",
            p_value(pair.p),
            p_value(pair.p_holm),
        )
        for pair in ours(pairs)
    ]
    header = ("metric", "pair", "difference", "seeds won", "p", "p (Holm)")
    note = "Paired by seed; Holm over all pairs of all methods on all metrics.\n"
    return ["### Differences\n", table(header, rows), note]


def _grouped(heading: str, found: Grouped) -> list[str]:
    if found.reason:
        return [f"### {heading}\n", f"– ({found.reason})\n"]
    rows: list[Sequence[str]] = [
        [name.replace("_", " ").replace(",", ", "), str(row[0].n), *(number(cell.value) for cell in row)]
        for name, row in zip(found.groups, found.cells, strict=True)
    ]
    header = ("", "n", *map(label, found.models))
    return [f"### {heading}\n", table(header, rows), "Pooled over seeds; – where n is 0.\n"]


def _retained(part: Part) -> list[str]:
    if part.retained is None:
        return []
    rows = [
        [label(method.name), *(text(share) for share in method.shares)] for method in part.retained.methods
    ]
    header = ("method", *(f"{count} experts" for count in part.retained.counts))
    return ["### What is left when many experts are merged\n", table(header, rows)]


def _recipes(part: Part) -> list[str]:
    if part.recipes is None:
        return []
    rows = [
        (label(one.method), one.seed, settings_text(one.settings), "yes" if one.reached else "no")
        for one in part.recipes.choices
    ]
    lines = ["### Chosen settings\n", table(("method", "seed", "settings", "safe on development"), rows)]
    for seed, recipe in part.recipes.by_seed.items():
        lines.append(f"{part.recipes.method}, seed {seed}:\n\n```yaml\n{recipe}```\n")
    return lines


def _runs(part: Part) -> list[str]:
    lines = ["### How to repeat it\n"]
    for run in part.runs:
        versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
        lines += [f"```sh\n{run.command}\n```\n", f"- code: {run.code}", f"- versions: {versions}"]
        lines += [f"- configuration: SHA-256 {run.config}"]
        lines += [f"- {name}: SHA-256 {digest}" for name, digest in run.data.items()]
        lines += [f"- time: {run.seconds:g} s\n"]
    return lines if part.runs else []
