"""The report as one HTML page that loads nothing: style, script and data are in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from sst_mergekit.experiments.names import label
from sst_mergekit.experiments.results import TARGET_SAFETY
from sst_mergekit.metrics.text import ends, number, p_value
from sst_mergekit.reporting.build import Part
from sst_mergekit.reporting.charts import fronts_chart, retained_chart, settings_text
from sst_mergekit.reporting.groups import Grouped
from sst_mergekit.reporting.markdown import EXPERIMENT_1, code
from sst_mergekit.reporting.pairs import ours
from sst_mergekit.reporting.styles import Style, styles


def to_html(parts: Sequence[Part]) -> str:
    """Return the page of all parts. Everything that was measured or said is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("sst_mergekit.reporting"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "ends": ends,
        "p_value": p_value,
        "label": label,
        "settings": settings_text,
        "group": lambda name: name.replace("_", " ").replace(",", ", "),
        "ours": ours,
        "code": code,
        "main": main_columns,
    }
    script = environment.get_template("report.js").render()
    return environment.get_template("report.html").render(
        parts=[(part, *_drawn(part)) for part in parts],
        experiment_1=EXPERIMENT_1,
        target=TARGET_SAFETY,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _drawn(part: Part) -> tuple[dict[str, object], dict[str, Style]]:
    """Return a part's charts, and the style of every model in it."""
    best = part.recipes.best if part.recipes else None
    charts: dict[str, object] = {}
    names = [row.name for row in part.rows] or list(part.models)
    if part.rows:
        charts["fronts"] = fronts_chart(part.rows, part.seeds, best)
    if part.retained:
        charts["retained"] = retained_chart(part.retained, best)
    return charts, styles(names, best)


def main_columns(found: Grouped, looks: dict[str, Style]) -> list[int]:
    """Return which models of a table are shown before the reader asks for more."""
    return [i for i, name in enumerate(found.models) if name not in looks or looks[name].main]
