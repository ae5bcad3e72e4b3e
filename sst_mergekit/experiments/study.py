"""Running a study of the user's own base, experts, data and lm-eval tasks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from sst_mergekit.errors import SstError
from sst_mergekit.experiments import baselines
from sst_mergekit.experiments.best import write_best
from sst_mergekit.experiments.comparing import compared
from sst_mergekit.experiments.names import methods as known_methods
from sst_mergekit.experiments.results import SeedResult
from sst_mergekit.experiments.study_file import Study
from sst_mergekit.experiments.trials import TRAININGS, Tuning, parts, unmerged
from sst_mergekit.experiments.writing import write_results
from sst_mergekit.files import write_text
from sst_mergekit.jobs.cluster import workers
from sst_mergekit.jobs.runner import Runner
from sst_mergekit.jobs.store import Store
from sst_mergekit.testbeds.own.tasks import check
from sst_mergekit.testbeds.own.testbed import OwnTestbed
from sst_mergekit.testbeds.real.making import local_model

PAGE = "study.yml"
MEASURE = "measure"  # `only`: trains and measures, and merges nothing


def run(
    study: Study,
    *,
    count: int | None = None,
    ray: str | None = None,
    only: str | None = None,
    unsafe_code: bool = False,
    progress: bool = True,
    command: str = "",
) -> dict[str, Any]:
    """Train, measure, merge, tune, score and report; return what results.json holds.

    Args:
        study: what.
        count: processes; None for one.
        ray: address of a Ray cluster, or None.
        only: ``measure``, or the name of one of the methods.
        unsafe_code: whether programs that the models write may be run, in the sandbox.
        progress: show a bar for each phase.
        command: as it can be given again.

    Raises:
        SstError: what is asked for cannot be run; found before anything is made.
    """
    import yaml

    check(study.tasks, unsafe_code)
    beds, tuning = study.beds(), study.tuning
    if only not in (None, MEASURE):
        tuning = _alone(tuning, str(only))
    study.out.mkdir(parents=True, exist_ok=True)
    write_text(study.out / PAGE, yaml.safe_dump(dict(study.body), sort_keys=False))
    threads = max(1, (os.cpu_count() or 1) // (count or 1))
    with workers(ray, count or 1, study.out / "log.txt", progress, threads=threads, offline=False) as pool:
        runner = Runner(Store(study.out / "units"), pool)
        if only == MEASURE:
            units = [unit for bed in beds for unit in parts(bed, tuning)]
            runner.make("train and measure", units)
            return {"made": {unit.name: str(runner.store.path(unit)) for unit in units}}
        results = compared(beds, tuning, runner)
        body = _body(study, beds, results, tuning, command)
        write_results(study.out, body, beds, runner, study.out / PAGE)
        write_best(study.out / "best", beds[0], results[0], tuning, runner.store)
    return body


def _alone(tuning: Tuning, name: str) -> Tuning:
    from dataclasses import replace

    [ours] = known_methods([name], "--only")
    if ours not in tuning.methods:
        raise SstError(f"--only {name}: not among the study's methods ({', '.join(tuning.methods)})")
    return replace(tuning, methods=(ours,))


def _body(
    study: Study, beds: Sequence[OwnTestbed], results: Sequence[SeedResult], tuning: Tuning, command: str
) -> dict[str, Any]:
    about = {
        "experiment": "study",
        "model": study.name,
        "full_name": study.base,
        "mode": "study",
        "seeds": list(study.seeds),
        "budget": tuning.budget,
        "command": command,
        "safety": [metric.label for metric in study.tasks.safety],
        "utility": [metric.label for metric in study.tasks.utility],
        "choose": {tuning.choice.by: tuning.choice.level},
    }
    return baselines.body(beds, results, about) | {"targets": []}


def describe(study: Study) -> dict[str, Any]:
    """Return what a run would make: units by kind, what is there of them, and bytes, about.

    Raises:
        SstError: a model or file is not there.
    """
    from sst_mergekit.experiments.plan import tuned
    from sst_mergekit.jobs.unit import with_parents

    beds, store = study.beds(), Store(study.out / "units")
    units = [unit for layer in with_parents(tuned(beds, study.tuning)) for unit in layer]
    folder = local_model(study.base)
    whole = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    kinds: dict[str, dict[str, int]] = {}
    for unit in units:
        found = kinds.setdefault(unit.kind, {"units": 0, "made": 0})
        found["units"] += 1
        found["made"] += store.has(unit)
    later = study.tuning.budget * len(study.tuning.methods) * len(beds)
    return {
        "units": kinds,
        "scores in all": later + len(unmerged(beds[0])) * len(beds),
        "bytes of the base": whole,
        "bytes of folded experts": kinds.get("fold", {"units": 0})["units"] * whole,
        "bytes of a merge at a time": whole,
        "methods": list(study.tuning.methods),
        "trained without a merge": [name for name in study.tuning.methods if name in TRAININGS],
    }
