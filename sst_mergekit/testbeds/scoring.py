"""Scoring an expert or a merge as a unit of work: lm-eval's table of some tasks on one split."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sst_mergekit.files import write_text
from sst_mergekit.merging.recipe import fold_adapter, run_recipe, write_recipe
from sst_mergekit.metrics.estimate import Rate
from sst_mergekit.resources import tasks_path
from sst_mergekit.testbeds.answers import KEPT, write_answers
from sst_mergekit.testbeds.prompt_scores import FORMAT as PROMPT_FORMAT
from sst_mergekit.testbeds.prompt_scores import write_prompt_scores

Inputs = Mapping[str, Any]
Parents = Mapping[str, Path]
Table = dict[str, dict[str, Rate]]
# (model, adapter or None, folder of the split's data, inputs) -> lm-eval's results with samples
Results = Callable[[Path, Path | None, Path, Inputs], dict[str, Any]]
TABLE, RECIPE, FOLDED, MERGED = "table.json", "recipe.yml", "folded", "merged"
SCORED = {"answers": KEPT, "prompt_scores": PROMPT_FORMAT}  # what a score keeps beside its table
_PLACE = re.compile(r"unit:/([\w./@-]+)")


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


def score(inputs: Inputs, parents: Parents, out: Path, results_of: Results) -> None:
    """Write the table of the model that `inputs` name; a merged checkpoint is deleted after scoring.

    Args:
        inputs: ``model`` and ``adapter``, or ``recipe`` with ``seed``; ``split``, how many ``answers`` are
            kept (absent: none), and what `results_of` needs.
        parents: what they name, ``data`` (where `results_of` reads it), and a folded adapter for each pair
            in the recipe.
        out: gets ``table.json``, ``answers.json``, on the test split the scores prompt by prompt, and
            ``recipe.yml`` of a merge.
        results_of: scores a checkpoint.
    """
    results = results_of_model(inputs, parents, out, results_of)
    write_table(results, out)
    if "answers" in inputs:
        write_answers(results["samples"], inputs["answers"], out)
    if inputs["split"] == "test":
        write_prompt_scores(results, out)


def results_of_model(inputs: Inputs, parents: Parents, out: Path, results_of: Results) -> dict[str, Any]:
    """Return lm-eval's results, with samples, of the model that `inputs` name (see `score`)."""
    out.mkdir()
    with checkpoint(inputs, parents, out) as (model, adapter):
        return results_of(model, adapter, parents.get("data", Path()) / inputs["split"], inputs)


@contextlib.contextmanager
def checkpoint(inputs: Inputs, parents: Parents, out: Path) -> Iterator[tuple[Path, Path | None]]:
    """Give (model, adapter or None): an expert as it is, or a merge in `out` for the time of the block."""
    if "recipe" not in inputs:
        adapter = inputs["adapter"]
        yield parents[inputs["model"]], parents[adapter] if adapter else None
        return
    text = _PLACE.sub(lambda found: str(parents[found[1]]), json.dumps(inputs["recipe"]))
    with merged(json.loads(text), parents, out, inputs["seed"]) as model:
        yield model, None


@contextlib.contextmanager
def merged(recipe: dict[str, Any], parents: Parents, out: Path, seed: int) -> Iterator[Path]:
    """Write a recipe to `out`, merge it by mergekit, give the result, delete it."""
    write_recipe(out / RECIPE, recipe)
    folded = link_folded(parents, out / FOLDED)
    try:
        run_recipe(out / RECIPE, out / MERGED, folded, seed)
        yield out / MERGED
    finally:
        shutil.rmtree(out / MERGED, ignore_errors=True)
        shutil.rmtree(folded)


def link_folded(parents: Parents, folder: Path) -> Path:
    """Return ``folder``, new and with a link to every model of the parents that are folded adapters."""
    folder.mkdir()
    for role, path in parents.items():
        if role.startswith("folded "):
            for model in path.iterdir():
                (folder / model.name).symlink_to(model)
    return folder


def fold(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Fold ``adapter`` into ``model`` as mergekit's cache wants it."""
    fold_adapter(f"{parents['model']}+{parents['adapter']}", out)


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
    return {task: {name: Rate(**value) for name, value in row.items()} for task, row in body.items()}
