"""Scoring an expert or a merge as a unit of work: lm-eval's table of some tasks on one split."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sst_mergekit.files import write_text
from sst_mergekit.merging.recipe import write_recipe
from sst_mergekit.metrics.estimate import Rate as Score
from sst_mergekit.resources import tasks_path
from sst_mergekit.testbeds.answers import write_answers
from sst_mergekit.testbeds.candidates import Candidate, Expert, Merge
from sst_mergekit.testbeds.prompt_scores import write_prompt_scores

Table = dict[str, dict[str, Score]]
TABLE, RECIPE, FOLDED = "table.json", "recipe.yml", "folded"
_PLACE = re.compile(r"unit:/([\w./-]+)")


def named(text: str) -> list[str]:
    """Return the units that a symbolic recipe names.

    >>> named("unit:/base+unit:/safety and unit:/refit/0.006")
    ['base', 'safety', 'refit/0.006']
    """
    return list(dict.fromkeys(_PLACE.findall(text)))


def adapted(recipe: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the (model, adapter) pairs of a symbolic recipe, which mergekit folds."""
    references = [str(item["model"]) for item in recipe["models"]]
    return [(names[0], names[1]) for names in map(named, references) if len(names) == 2]


def task_versions(tasks: Sequence[str]) -> dict[str, str]:
    """Return the versions of tasks: a change of scoring is a change of inputs."""
    found = {}
    for task in tasks:
        text = (tasks_path() / task / f"{task}.yaml").read_text(encoding="utf-8")
        found[task] = re.findall(r"^  version: (\S+)", text, flags=re.MULTILINE)[-1]
    return found


def score(inputs: Mapping[str, Any], parents: Mapping[str, Path], out: Path) -> None:
    """Write the table of the model that `inputs` name; a merged checkpoint is deleted after scoring.

    Args:
        inputs: ``model`` and ``adapter``, or ``recipe`` with ``seed``; ``split``, ``tasks`` (with their
            versions), ``batch_size``, ``max_length``, ``samples``, how many ``answers`` are kept, and the
            form of ``prompt_scores``.
        parents: what they name, ``data``, and a folded adapter for each pair in the recipe.
        out: gets ``table.json``, ``answers.json``, on the test split the scores prompt by prompt, and
            ``recipe.yml`` of a merge.
    """
    results = results_of_candidate(inputs, parents, out)
    write_table(results, out)
    write_answers(results["samples"], inputs["answers"], out)
    if inputs["split"] == "test":
        write_prompt_scores(results, out)


def results_of_candidate(inputs: Mapping[str, Any], parents: Mapping[str, Path], out: Path) -> dict[str, Any]:
    """Return lm-eval's results, with samples, of the model that `inputs` name (see `score`)."""
    from sst_mergekit.testbeds.hub import making as hub_making
    from sst_mergekit.testbeds.scores import results_of

    out.mkdir()
    split = parents["data"] / inputs["split"]
    with candidate(inputs, parents, out).checkpoint() as (model, adapter):
        if "loading" in inputs:
            results = hub_making.results_of(model, adapter, split, inputs)
        else:
            settings = {key: inputs[key] for key in ("batch_size", "max_length", "samples")}
            results = results_of(model, split, adapter, tuple(inputs["tasks"]), **settings)
    shutil.rmtree(out / FOLDED, ignore_errors=True)
    return results


def candidate(inputs: Mapping[str, Any], parents: Mapping[str, Path], out: Path) -> Candidate:
    """Return what is scored: an expert as it is, or a merge whose recipe is written to `out`."""
    if "recipe" not in inputs:
        adapter = inputs["adapter"]
        return Expert("expert", parents[inputs["model"]], parents[adapter] if adapter else None)
    text = _PLACE.sub(lambda found: str(parents[found[1]]), json.dumps(inputs["recipe"]))
    write_recipe(out / RECIPE, json.loads(text))
    return Merge("merged", out / RECIPE, out, link_folded(parents, out / FOLDED), inputs["seed"])


def link_folded(parents: Mapping[str, Path], folder: Path) -> Path:
    """Return ``folder``, new and with a link to every model of the parents that are folded adapters."""
    folder.mkdir()
    for role, path in parents.items():
        if role.startswith("folded "):
            for model in path.iterdir():
                (folder / model.name).symlink_to(model)
    return folder


def write_table(results: Mapping[str, Any], out: Path) -> None:
    """Write lm-eval's table of results into a result's folder."""
    from sst_mergekit.evaluation.harness import summary

    table = {
        task: {name: asdict(value) for name, value in row.items()} for task, row in summary(results).items()
    }
    write_text(out / TABLE, json.dumps(table, indent=1) + "\n")


def read_table(path: Path) -> Table:
    """Return the table in a result's folder."""
    body = json.loads((path / TABLE).read_text(encoding="utf-8"))
    return {task: {name: Score(**value) for name, value in row.items()} for task, row in body.items()}
