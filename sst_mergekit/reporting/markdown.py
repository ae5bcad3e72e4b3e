"""The report as markdown: the tables; charts and answers are in the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sst_mergekit.experiments.names import label
from sst_mergekit.experiments.results import TARGET_SAFETY
from sst_mergekit.metrics.estimate import Estimate
from sst_mergekit.metrics.text import number, p_value, plus_minus, table
from sst_mergekit.reporting.build import Part
from sst_mergekit.reporting.charts import settings_text
from sst_mergekit.reporting.groups import Grouped
from sst_mergekit.reporting.pairs import OURS, Difference, ours
from sst_mergekit.reporting.rows import Row

TAX = (
    "utility",
    "ΔS",
    "ΔU",
    "tax",
    "hypervolume",
    f"utility at safety {TARGET_SAFETY}",
    "KL",
    "perplexity",
)
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


def summary(parts: Iterable[Part]) -> str:
    """Return the main tables alone, for the terminal."""
    return "\n".join(section for part in parts for section in [_title(part), *_figures(part)])


def _title(part: Part) -> str:
    return f"## {part.model}, {part.mode}, seeds {', '.join(map(str, part.seeds))}\n"


def _figures(part: Part) -> list[str]:
    return [*_targets(part), *_taxes(part), *_experiment_1(part), *_retained(part)]


def _part(part: Part) -> str:
    groups = {
        "Refusals by category of harm": part.categories,
        "MMLU by subject": part.subjects,
        "Refusals by jailbreak wrapping": part.wrappings,
    }
    sections = [
        _title(part),
        "The fronts, curves and answers are in [report.html](report.html), which says why a table is not "
        "there. ± is the half-width of a 95 % interval: over seeds by Student's t; with one seed over "
        "prompts, by 1.96 standard errors.\n",
        *_figures(part),
        *_pairs(part.pairs),
        *(line for heading, found in groups.items() for line in _grouped(heading, found)),
        *_recipes(part),
        *_runs(part),
    ]
    return "\n".join(sections)


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
    if not part.rows:
        return []
    names = list(part.rows[0].parts)
    rows = [
        [
            _name(row),
            *(_figure(one) for one in (row.safety, *row.parts.values(), row.utility)),
            *(_figure(one, signed=True) for one in (row.gain, row.loss)),
            _figure(row.tax, row.seeds),
            *(
                "" if row.kind == "expert" else _figure(one, row.seeds)
                for one in (row.hypervolume, row.utility_at_target)
            ),
            *(_figure(one) for one in (row.divergence, row.perplexity)),
        ]
        for row in part.rows
    ]
    made_of = [
        [_name(row), *(number(one.value) for one in (row.tax, *row.tax_parts.values()))]
        for row in part.rows
        if row.kind != "expert"
    ]
    note = (
        "ΔS: safety won, ΔU: utility lost, both against the utility expert. Utility: mean of its parts, of "
        "over-refusal 1 less it. Tax: ΔU / ΔS of a seed, then the mean over the seeds that have one. "
        "Hypervolume: area of (safety, utility) below the front; utility at safety "
        f"{TARGET_SAFETY}: of the front, between two settings by a straight line. KL from the utility expert "
        "(nats a token) and perplexity: on held-out benign rows. † k: on k seeds no setting reached on "
        "development what settings are chosen by. Prompts a seed: "
        f"{', '.join(f'{name} {n}' for name, n in part.rows[0].prompts.items())}.\n"
    )
    return [
        "### Safety tax\n",
        table(("model", "safety", *names, *TAX), rows),
        note,
        "What each part of utility makes up of the tax:\n",
        table(("method", "tax", *names), made_of),
    ]


def _name(row: Row) -> str:
    """Return a row's name, ours in bold and controls in italics."""
    name = label(row.name)
    name = f"*control: {name}*" if row.kind == "control" else f"**{name}**" if row.name == OURS else name
    return name + (f" †{row.missed}" if row.missed else "")


def _figure(found: Estimate, seeds: int | None = None, signed: bool = False) -> str:
    """Return a figure with its margin, and of how many seeds where that is not all; else a dash and why."""
    if found.value is None:
        return f"– ({found.reason})"
    few = f" (n={found.n})" if seeds is not None and found.n != seeds else ""
    return plus_minus(found.value, found.margin, signed) + few


def _experiment_1(part: Part) -> list[str]:
    if not part.models:
        return []
    rows = [
        [label(name), *(_figure(found[key]) for key in EXPERIMENT_1)] for name, found in part.models.items()
    ]
    return ["### SST-Merge beside its experts\n", table(("model", *EXPERIMENT_1.values()), rows)]


def _pairs(pairs: list[Difference]) -> list[str]:
    if not pairs:
        return []
    rows = [
        (
            pair.metric,
            f"{OURS} − {label(pair.against)}",
            _figure(pair.difference, signed=True),
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
        return []
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
        [label(method.name), *(_figure(share) for share in method.shares)] for method in part.retained.methods
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
        versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
        lines += [f"```sh\n{run['command']}\n```\n", f"- code: {code(run['git'])}"]
        lines += [f"- versions: {versions}", f"- configuration: SHA-256 {run['config_sha256']}"]
        lines += [f"- {name}: SHA-256 {digest}" for name, digest in run["data"].items()]
        lines += [f"- time: {run['seconds']:g} s\n"]
    return lines if part.runs else []


def code(git: Mapping[str, Any] | None) -> str:
    """Return the state of the code behind a run, as its manifest has it."""
    if git is None:
        return "an installed package, not a checkout"
    return f"{git['commit']}, {'with' if git['changed'] else 'without'} uncommitted changes"
