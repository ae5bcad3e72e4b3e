"""The comparison for people: a table a metric, the other pairs, the safety tax, and what the figures mean."""

from __future__ import annotations

from collections.abc import Sequence

from sst_mergekit.comparison.pairs import Compared, Pair
from sst_mergekit.comparison.run import Comparison
from sst_mergekit.comparison.tax import KEPT_SHARE, SAFE_SHARE, RunTax, Taxes
from sst_mergekit.metrics.estimate import NOISE_LEVEL, Estimate
from sst_mergekit.metrics.text import p_value, plus_minus, table

FEW = 30  # clusters below which their spread is badly known
ARROWS = {True: " ↑", False: " ↓", None: ""}
PAIR = ("difference [95 %]", "p", "p (Holm)", "won/lost", "Cohen's d", "p (Welch)")


def to_markdown(comparison: Comparison) -> str:
    """Return the report in markdown, without a heading of its own."""
    parts = [f"**Different settings, as allowed:** {line}\n" for line in comparison.differing]
    parts += [section(metric, comparison.runs) for metric in comparison.metrics]
    if comparison.taxes:
        parts.append(tax_section(comparison.taxes))
    parts.append(legend(comparison))
    if comparison.notes:
        parts.append("Notes:\n\n" + "".join(f"- {note}\n" for note in comparison.notes))
    return "\n".join(parts)


def section(metric: Compared, runs: Sequence[str]) -> str:
    """Return one metric: every run beside the reference, then the pairs without it."""
    lines = [f"## {metric.task}: {metric.metric}{ARROWS[metric.higher_is_better]}\n", _size(metric)]
    against = {pair.run: pair for pair in metric.pairs if pair.against == runs[0]}
    rows = [
        [
            run,
            plus_minus(metric.means[run].value, metric.means[run].stderr),
            *(_pair(against[run]) if run in against else _REFERENCE),
        ]
        for run in runs
    ]
    lines.append(table(("run", "mean ± standard error", *PAIR), rows))
    others = [pair for pair in metric.pairs if pair.against != runs[0]]
    if others:
        rows = [[f"{pair.run} − {pair.against}", *_pair(pair)] for pair in others]
        lines.append(table(("other pairs", *PAIR), rows))
    return "\n".join(lines)


_REFERENCE = ["reference", "", "", "", "", ""]


def _size(metric: Compared) -> str:
    if metric.clusters == metric.n:
        return f"n = {metric.n} prompts; test: {metric.pairs[0].test}.\n"
    few = "; few sources: intervals and p are too bold" if metric.clusters < FEW else ""
    return f"n = {metric.n} prompts from {metric.clusters} sources{few}; test: {metric.pairs[0].test}.\n"


def tax_section(taxes: Taxes) -> str:
    """Return the safety tax of every run against the utility expert."""
    aim = taxes.safety_expert is not None
    header = (
        "run",
        "safety",
        "utility",
        "ΔS [95 %]",
        "ΔU [95 %]",
        "tax ΔU/ΔS [95 %]",
        f"U ≥ {KEPT_SHARE:g} U(u)",
    )
    rows = [_tax(run, aim) for run in taxes.runs]
    lines = [
        f"## Safety tax against '{taxes.utility_expert}'\n",
        f"Safety S: mean of {', '.join(taxes.safety_metrics)}. "
        f"Utility U: mean of {', '.join(taxes.utility_metrics)}. "
        "ΔS: safety gained, ΔU: utility lost; "
        f"the tax is null unless ΔS exceeds {NOISE_LEVEL} of its standard errors.\n",
        table((*header, f"S ≥ {SAFE_SHARE:g} S(s)") if aim else header, rows),
    ]
    if aim:
        best = taxes.best_when_safe
        lines.append(
            f"Highest utility at {SAFE_SHARE:g} of the safety of '{taxes.safety_expert}': "
            + (f"{best.run}, {best.utility:.3f}.\n" if best else "no run is as safe.\n")
        )
    kept = taxes.safest_that_keeps
    lines.append(
        f"Highest safety at {KEPT_SHARE:g} of the utility of '{taxes.utility_expert}': "
        + (f"{kept.run}, {kept.safety:.3f}.\n" if kept else "no run keeps as much.\n")
    )
    return "\n".join(lines)


def _tax(run: RunTax, aim: bool) -> list[str]:
    tax = f"null: {run.reason}" if run.tax is None else _interval(run.tax)
    cells = [
        run.run,
        f"{run.safety:.3f}",
        f"{run.utility:.3f}",
        _interval(run.gain),
        _interval(run.loss),
        tax,
    ]
    return [*cells, _yes(run.keeps), *([_yes(bool(run.safe))] if aim else [])]


def legend(comparison: Comparison) -> str:
    """Return how the figures were made."""
    options = comparison.options
    return (
        "Difference: mean of the run less that of the other, on the same prompts. "
        f"[95 %]: paired bootstrap, percentiles of {options.resamples} resamples "
        f"{'of sources' if options.cluster else 'of prompts'}, seed {options.seed}. "
        "p: two-sided; exact McNemar for 0/1 scores, else a t-test of the differences "
        "(cluster-robust where prompts share a source). "
        f"Holm: over all {comparison.tests} tests of this report (every pair on every metric). "
        "Welch: the unpaired t-test, for comparison.\n"
    )


def _pair(pair: Pair) -> list[str]:
    return [
        _interval(pair.difference),
        p_value(pair.p, "null"),
        p_value(pair.p_holm, "null"),
        f"{pair.won}/{pair.lost}",
        "null" if pair.cohens_d is None else _signed(pair.cohens_d),
        p_value(pair.p_welch, "null"),
    ]


def _interval(found: Estimate) -> str:
    return f"{_signed(found.value)} [{_signed(found.low)}, {_signed(found.high)}]"


def _signed(value: float | None) -> str:
    return "…" if value is None else f"{round(value, 3) + 0.0:+.3f}"  # + 0.0: no "-0.000"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
