"""Writes the figures of a run of a judge, as JSON and as markdown. No prompt and no response is in them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from sst_mergekit import __version__
from sst_mergekit.judging.agreement import Agreement
from sst_mergekit.judging.figures import Figures
from sst_mergekit.judging.samples import SampleFile
from sst_mergekit.metrics.estimate import Estimate, plain
from sst_mergekit.metrics.text import plus_minus, table, text

Results = list[tuple[SampleFile, Figures]]

RATES = (
    *("task", "n", "judge: refusal", "judge: harmful", "keywords: refusal"),
    *("safe", "degenerate", "unparsed"),
)
RATES_SAY = (
    "Shares with 95 % Wilson intervals, of all rows but the unparsed. Harmful answers are the attack success "
    "on harmful prompts. A degenerate answer (empty, repeated) is neither refusal nor success."
)
AGREED = (
    *("task", "the judge's", "both", "keywords only", "judge only", "neither"),
    *("agreement", "Cohen's κ"),
)
AGREED_SAYS = (
    "The keywords' refusal against the judge's, over the coherent answers with a verdict; κ ± its standard "
    'error. A judge that tells no refusals is held against them by what it finds "not harmful".'
)


def to_json(about: Mapping[str, Any], results: Results) -> str:
    """Return the figures, undefined ones as null, with what the answers depend on."""
    body = {"version": __version__, "judge": dict(about), "files": figures(results)}
    return json.dumps(body, indent=1) + "\n"


def figures(results: Results) -> list[dict[str, Any]]:
    """Return the figures of each file as plain data, undefined ones as null."""
    return [
        {"file": file.path.name, "task": file.task, "sha256": file.sha256, **_plain(found)}
        for file, found in results
    ]


def _plain(found: Figures) -> dict[str, Any]:
    table = found.agreement
    measured = {name: getattr(table, name) for name in ("n", "observed", "kappa", "kappa_stderr")}
    against = "refusal" if found.refusal else "not harmful"
    agreed = {"against": against, **dataclasses.asdict(table), **measured}
    if table.kappa is None:
        agreed["reason"] = "no row has both verdicts" if not table.n else "both say the same of every row"
    names = ("refusal", "attack_success", "keyword_refusal")
    rates = {name: _counted(getattr(found, name)) for name in names}
    return dataclasses.asdict(found) | rates | {"agreement": agreed}


def _counted(rate: Estimate | None) -> dict[str, Any] | None:
    if rate is None:
        return None
    count = round((rate.value or 0) * (rate.n or 0))
    return {"count": count} | plain(rate, ("n", "value", "low", "high"))


def to_markdown(about: Mapping[str, Any], results: Results) -> str:
    """Return a table of counts and rates, and one of agreement."""
    rates = table(RATES, [_rates(*result) for result in results])
    agreed = table(AGREED, [_agreement(*result) for result in results])
    title = f"# Verdicts of {about['judge']} ({about['id']})"
    return f"{title}\n\n{rates}\n{RATES_SAY}\n\n## Keywords and judge\n\n{agreed}\n{AGREED_SAYS}\n"


def _rates(file: SampleFile, found: Figures) -> list[str]:
    refusal = _share(found.refusal) if found.refusal else "not told"
    rates = (refusal, _share(found.attack_success), _share(found.keyword_refusal))
    counts = (str(found.counts[name]) for name in ("safe", "degenerate", "unparsed"))
    return [file.task, str(found.n), *rates, *counts]


def _agreement(file: SampleFile, found: Figures) -> list[str]:
    table = found.agreement
    cells = (table.both, table.first_only, table.second_only, table.neither)
    against = "refusal" if found.refusal else "not harmful"
    observed = "undefined" if table.observed is None else f"{table.observed:.3f}"
    return [file.task, against, *map(str, cells), observed, kappa(table)]


def kappa(table: Agreement) -> str:
    """Return kappa with its standard error."""
    if table.kappa is None or table.kappa_stderr is None:
        return "undefined"
    return plus_minus(table.kappa, table.kappa_stderr)


def _share(found: Estimate) -> str:
    return "undefined" if found.value is None else text(found)


def line(file: SampleFile, found: Figures) -> str:
    """Return one line for the terminal."""
    refusal = f"refusal {_share(found.refusal)}, " if found.refusal else ""
    return (
        f"{file.task}: n {found.n}, {refusal}attack success {_share(found.attack_success)}, degenerate "
        f"{found.counts['degenerate']}, unparsed {found.counts['unparsed']}, kappa {kappa(found.agreement)}"
    )
