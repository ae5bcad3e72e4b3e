"""``sst-mergekit sweep``: searches a recipe's parameters for the front of safety and utility."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from sst_mergekit.cli import output
from sst_mergekit.errors import SstError

if TYPE_CHECKING:
    from sst_mergekit.experiments.strategies.space import Parameter
    from sst_mergekit.experiments.sweep import Objectives, Subject

SAMPLERS = ("grid", "random", "tpe", "nsga2")

positive = click.IntRange(min=1)
BUDGET = 16
DTYPES, MODES = ("float32", "bfloat16", "float16"), ("minimal", "full")
SCORING = ("tasks", "include_path", "data_dir", "samples", "batch_size", "dtype", "device")
OF_RECIPES = (*SCORING, "apply_chat_template", "confirm_run_unsafe_code")
OF_THE_WORLD = ("methods", "mode")


@click.command("sweep", cls=output.Command)
@click.argument("recipe", required=False, type=click.Path(path_type=Path))
@click.option(
    "--param", "params", multiple=True, metavar="NAME=VALUES", help="A,B or LOW:HIGH[:COUNT][:log]."
)
@click.option("--sampler", type=click.Choice(SAMPLERS), default="grid", show_default=True)
@click.option("--budget", type=positive, help=f"Settings in all.  [default: {BUDGET}; a grid tries all]")
@click.option("--seed", type=int, help="Of sampler, method and tiny world.  [default: 0; the world's 42]")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder, shared and continued.")
@click.option("--safety", help="TASK:METRIC, with commas: safety is their mean.  [default: as in 'compare']")
@click.option("--utility", help="The same for utility.")
@click.option("--tasks", default="sst_safety_utility", show_default=True, help="lm-eval tasks, with commas.")
@click.option("--include-path", type=click.Path(path_type=Path), help="Folder of your own lm-eval tasks.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="The development split's files.")
@click.option("--samples", type=positive, help="Prompts a task at most.")
@click.option("--batch-size", type=positive, default=16, show_default=True, help="Of scoring.")
@click.option("--dtype", type=click.Choice(DTYPES), default=DTYPES[0], show_default=True, help="Of scoring.")
@click.option("--device", help="Of scoring: cpu, cuda, ...  [default: cuda if there is one]")
@click.option("--apply-chat-template", is_flag=True, help="Of the merge's tokenizer.")
@click.option("--confirm-run-unsafe-code", is_flag=True, help="Let the models' programs run (sst_humaneval).")
@click.option("--model", type=click.Choice(["tiny-world"]), help="In place of RECIPE.")
@click.option("--methods", default="task_arithmetic,sst", show_default=True, help="Of the tiny world.")
@click.option("--mode", type=click.Choice(MODES), default=MODES[0], show_default=True, help="Its size.")
@click.option("--workers", type=positive, help="Processes.  [default: 1; of the tiny world CPU cores]")
@click.option("--ray", metavar="auto|ADDRESS", help="Make the units on a Ray cluster, one slot each.")
def command(recipe: Path | None, **given: Any) -> None:
    """Merge and score settings of RECIPE, and write the front of safety and utility on the development split.

    A NAME of --param is a shared parameter (strength), or a place in the recipe that is there already
    (models[1].parameters.weight). Each setting is merged in a worker, scored by lm-eval and deleted. OUT
    holds sweep.json, front.png and the scores; the same command goes on where it was
    stopped, and several at once share the work. --json prints sweep.json: {front, subjects, metrics,
    sampler, command}.
    """
    from sst_mergekit.reporting.sweep import table

    if (recipe is None) == (given["model"] is None):
        raise SstError("sweep: give a RECIPE, or --model tiny-world")
    _refuse(OF_RECIPES if recipe is None else OF_THE_WORLD, recipe)
    if given["sampler"] == "grid" and given["budget"] is not None:
        raise SstError("--budget: a grid tries all; leave it out, or choose another --sampler")
    if given["out"].is_file():
        raise SstError(f"{given['out']}: is a file; choose another --out")
    body = _swept(recipe, given)
    output.result(body, f"{table(body)}\n{given['out'] / 'sweep.json'}")


def _refuse(others: Sequence[str], recipe: Path | None) -> None:
    """Raise SstError where an option has no effect here."""
    for name in others:
        if click.get_current_context().get_parameter_source(name) is not ParameterSource.DEFAULT:
            where = "a RECIPE" if recipe is None else "--model tiny-world"
            raise SstError(f"--{name.replace('_', '-')}: goes with {where}")


def _swept(recipe: Path | None, given: dict[str, Any]) -> dict[str, Any]:
    """Return what the sweep found, written into its folder too."""
    from sst_mergekit.experiments.run import write_json
    from sst_mergekit.experiments.strategies.sampled import sampled
    from sst_mergekit.experiments.strategies.space import grid, parse_all
    from sst_mergekit.experiments.sweep import earlier, sweep
    from sst_mergekit.jobs.cluster import workers
    from sst_mergekit.jobs.runner import Runner
    from sst_mergekit.jobs.store import Store
    from sst_mergekit.reporting.sweep import draw, report

    objectives, parameters = _objectives(given), parse_all(given["params"])
    own = {} if recipe is None else {"offline": False}
    subjects = _of_world(given, parameters) if recipe is None else [_of_recipe(recipe, given, parameters)]
    if given["sampler"] == "grid":
        for subject in subjects:
            grid(subject.space)  # or it says what is missing
    out, cores = given["out"].absolute(), os.cpu_count() or 1
    before = earlier(out / "sweep.json")
    count = given["workers"] or (cores if recipe is None else 1)
    threads = max(1, cores // count) if own else 1
    out.mkdir(parents=True, exist_ok=True)
    budget, seed = given["budget"] or BUDGET, given["seed"] or 0
    with workers(given["ray"], count, out / "log.txt", output.progress(), threads=threads, **own) as pool:
        runner = Runner(Store(out / "units"), pool)
        found = sweep(
            subjects, objectives, lambda space: sampled(given["sampler"], space, budget, seed), before, runner
        )
    body = report(found, objectives, {"sampler": given["sampler"], "command": shlex.join(sys.argv)})
    write_json(out / "sweep.json", body)
    draw(body, out / "front.png")
    return body


def _objectives(given: dict[str, Any]) -> Objectives:
    from sst_mergekit.comparison.tax import SAFETY, UTILITY
    from sst_mergekit.experiments.sweep import Objectives

    safety, utility = (given[name].split(",") if given[name] else None for name in ("safety", "utility"))
    return Objectives(tuple(safety or SAFETY), tuple(utility or UTILITY))


def _of_world(given: dict[str, Any], parameters: tuple[Parameter, ...]) -> list[Subject]:
    from sst_mergekit.experiments.config import chosen_models, load
    from sst_mergekit.experiments.request import FIRST_SEED
    from sst_mergekit.experiments.sweep_world import world_methods
    from sst_mergekit.resources import recipes_path

    config = load(recipes_path() / "experiments" / "experiments.yml")
    [model] = chosen_models(config, given["model"])
    seed = FIRST_SEED if given["seed"] is None else given["seed"]
    grid = given["sampler"] == "grid"
    return world_methods(model, given["mode"], given["methods"].split(","), seed, parameters, grid)


def _of_recipe(recipe: Path, given: dict[str, Any], parameters: tuple[Parameter, ...]) -> Subject:
    from sst_mergekit.experiments.sweep import shared_out
    from sst_mergekit.experiments.sweep_recipe import check, own_recipe, parameters_of

    if not parameters:
        raise SstError("--param: name at least one parameter of the recipe, as in --param strength=0.2:1.8:9")
    shared_out(parameters, [(recipe.name, parameters_of(recipe))])
    with tempfile.TemporaryDirectory() as folder:
        check(recipe, parameters, Path(folder))
    data_dir, include = given["data_dir"], given["include_path"]
    for flag, folder in {"--data-dir": data_dir, "--include-path": include}.items():
        if folder is not None and not folder.is_dir():
            raise SstError(f"{flag} {folder}: no such folder")
    scoring = {name: given[name] for name in SCORING} | {
        "tasks": given["tasks"].split(","),
        "include_path": str(include.absolute()) if include else None,
        "data_dir": str(data_dir.absolute()) if data_dir else None,
        "chat_template": given["apply_chat_template"],
        "unsafe_code": given["confirm_run_unsafe_code"],
        "seed": given["seed"] or 0,
    }
    return own_recipe(recipe, parameters, scoring)
