"""Runs the experiments that are asked for and writes their results."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sst_mergekit.errors import SstError
from sst_mergekit.experiments import baselines, interference, safety_tax
from sst_mergekit.experiments.chosen import scored_units
from sst_mergekit.experiments.comparing import compared
from sst_mergekit.experiments.request import Request
from sst_mergekit.experiments.writing import write_json
from sst_mergekit.jobs.cluster import workers
from sst_mergekit.jobs.manifest import manifest
from sst_mergekit.jobs.runner import Runner
from sst_mergekit.jobs.store import Store
from sst_mergekit.testbeds.options import ModelOptions

Body = dict[str, Any]


def check(request: Request) -> None:
    """Raise SstError if a model, its data or an option is not there, before anything is made."""
    for model in request.models:
        if not (model.is_tiny_world or request.confirmed or request.experiments == ("exp2",)):
            raise SstError(
                f"--model {model.name}: HumanEval runs programs that the model writes, in the sandbox; allow "
                "it by --confirm-run-unsafe-code, or take --experiment exp2"
            )
        for experiment in request.experiments:
            request.beds(model)
            request.tuning(model, experiment)


def run(request: Request, progress: bool = True) -> dict[Path, Body]:
    """Run the experiments and return what was written, by file; what was made before is not made again.

    Raises:
        SstError: a model or size that cannot be run.
    """
    check(request)
    request.out.mkdir(parents=True, exist_ok=True)
    written: dict[Path, Body] = {}
    with workers(request.ray, request.workers, request.out / "log.txt", progress) as pool:
        runner = Runner(Store(request.store), pool)
        for model in request.models:
            for experiment in request.experiments:
                path = request.result(model, experiment)
                written[path] = EXPERIMENTS[experiment](request, model, runner)
                write_json(path, written[path])
        _write_manifest(request, runner, list(written))
    return written


def _safety_tax(request: Request, model: ModelOptions, runner: Runner) -> Body:
    worlds = request.beds(model)
    results = compared(worlds, request.tuning(model, "exp1"), runner)
    samples = request.config.attack_samples[request.mode]
    seeds = safety_tax.measured(worlds, results, samples, runner)
    body = safety_tax.report(worlds, results, seeds, request.about(model, "exp1"))
    return body | {
        "units": scored_units(worlds, results),
        "jailbreak_units": scored_units(
            worlds, results, lambda world, one: safety_tax.attack_unit(world, one, samples)
        ),
    }


def _interference(request: Request, model: ModelOptions, runner: Runner) -> Body:
    alone, merged = interference.measured(request.tasks(model), request.counts, runner)
    return interference.report(alone, merged, request.counts, request.about(model, "exp2"))


def _baselines(request: Request, model: ModelOptions, runner: Runner) -> Body:
    worlds = request.beds(model)
    results = compared(worlds, request.tuning(model, "exp3"), runner)
    return baselines.body(worlds, results, request.about(model, "exp3"))


EXPERIMENTS: dict[str, Callable[[Request, ModelOptions, Runner], Body]] = {
    "exp1": _safety_tax,
    "exp2": _interference,
    "exp3": _baselines,
}


def _write_manifest(request: Request, runner: Runner, written: list[Path]) -> None:
    units = [world.unit("data") for model in request.models for world in request.beds(model)]
    if "exp2" in request.experiments:
        units += [tasks.unit("tasks") for model in request.models for tasks in request.tasks(model)]
    data = [(unit.name, runner.store.path(unit)) for unit in units if runner.store.has(unit)]
    body = manifest(request.command, request.config.source, request.seeds, data, runner.phases)
    results = [path.relative_to(request.out).as_posix() for path in written]
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.json"
    write_json(request.out / "manifests" / name, body | {"results": results})
