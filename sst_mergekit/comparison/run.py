"""The whole comparison: read every run, refuse what is not alike, compare every metric and pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sst_mergekit.comparison.agreement import differing_circumstances, differing_settings
from sst_mergekit.comparison.experiment_results import places_of, read_parts
from sst_mergekit.comparison.joining import (
    Scores,
    check_documents,
    default_metrics,
    join,
)
from sst_mergekit.comparison.locating import Found, name_runs, newest_results
from sst_mergekit.comparison.pairs import Compared, compare_metric, correct
from sst_mergekit.comparison.reading import TaskRun
from sst_mergekit.comparison.tax import SAFETY, UTILITY, Taxes, safety_taxes
from sst_mergekit.errors import EvaluationError, closest

Tasks = dict[str, list[TaskRun]]  # by task, in the order of the runs


@dataclass(frozen=True)
class Options:
    """What the user chose; see ``sst-mergekit compare --help``."""

    reference: str | None = None
    tasks: Sequence[str] = ()
    metrics: Sequence[str] = ()
    cluster: str | None = None
    allow_different_settings: bool = False
    utility_expert: str | None = None
    safety_expert: str | None = None
    safety: Sequence[str] = ()
    utility: Sequence[str] = ()
    seed: int = 0
    resamples: int = 10_000


@dataclass(frozen=True)
class Comparison:
    """Everything the report shows.

    Attributes:
        runs: names, the reference first.
        files: the sample files that were read, by task, in the order of the runs.
        differing: settings in which the runs differ, allowed by the user.
        notes: what a reader should know: older results passed over, metrics left out, and the like.
        metrics: one entry a task and metric.
        taxes: None unless a utility expert is named.
    """

    options: Options
    runs: list[str]
    files: dict[str, list[str]]
    differing: list[str]
    notes: list[str]
    metrics: list[Compared]
    taxes: Taxes | None

    @property
    def tests(self) -> int:
        """Return the number of tests that Holm's correction counts."""
        return sum(pair.p is not None for metric in self.metrics for pair in metric.pairs)


def compare(arguments: Sequence[str], options: Options | None = None) -> Comparison:
    """Return the comparison of the runs at ``PATH`` or ``NAME=PATH``.

    Raises:
        EvaluationError: fewer than two runs, an unknown name, or runs that were not scored alike.
    """
    options = options or Options()
    notes: list[str] = []
    names, tasks = _read(arguments, options, notes)
    differing = differing_settings(tasks)
    if differing and not options.allow_different_settings:
        raise EvaluationError(
            f"the runs were scored with different settings: {'; '.join(differing)}; "
            "score them alike, or give --allow-different-settings"
        )
    notes += differing_circumstances(tasks)
    compared = [
        compare_metric(join(runs, metric), names, options.seed, options.resamples)
        for runs, metric in _chosen(tasks, options.metrics, notes)
    ]
    files = {task: [str(run.file) for run in runs] for task, runs in tasks.items()}
    taxes = _taxes(tasks, names, options)
    return Comparison(options, names, files, differing, notes, correct(compared), taxes)


def _read(arguments: Sequence[str], options: Options, notes: list[str]) -> tuple[list[str], Tasks]:
    """Return the names of the runs, the reference first, and every task of each, on the same documents."""
    places = places_of(arguments)
    if len(places or arguments) < 2:
        raise EvaluationError("RUN...: got one run, expected two or more to compare")
    if places:
        seeds = "; ".join(part.name for part in places[0].parts)
        notes.append(f"prompts of {seeds}: p is of these models on such prompts, not of other seeds")
    places = places or name_runs(arguments)
    names = [place.name for place in places]
    for option, name in (
        ("--reference", options.reference),
        ("--utility-expert", options.utility_expert),
        ("--safety-expert", options.safety_expert),
    ):
        if name is not None and name not in names:
            raise EvaluationError(f"{option} {name}: is none of the runs{closest(name, names)}")
    places.sort(key=lambda place: place.name != (options.reference or names[0]))
    found = {place.name: newest_results(place) for place in places}
    tasks: Tasks = {}
    for task in _tasks(found, options.tasks):
        tasks[task] = [read_parts(place, task, found[place.name][task], options.cluster) for place in places]
        check_documents(tasks[task])
        for name, results in found.items():
            if results[task].older:
                notes.append(
                    f"run '{name}': {task}: {results[task].file.name}, newest of {results[task].older + 1}"
                )
    if options.cluster is not None and not any(runs[0].clusters for runs in tasks.values()):
        raise EvaluationError(f"--cluster {options.cluster}: no document of {', '.join(tasks)} has the field")
    return [place.name for place in places], tasks


def _tasks(found: dict[str, dict[str, Found]], wanted: Sequence[str]) -> list[str]:
    """Return the tasks to compare: those named, else all; every run must have them."""
    every = sorted(set().union(*found.values()))
    for task in wanted or every:
        lacking = [name for name, results in found.items() if task not in results]
        if len(lacking) == len(found):
            raise EvaluationError(f"--task {task}: no run has it{closest(task, every)}")
        if lacking:
            raise EvaluationError(
                f"{task}: not scored in run {', '.join(repr(name) for name in lacking)}; "
                "score it there, or name the tasks to compare with --task"
            )
    return list(dict.fromkeys(wanted or every))


def _chosen(tasks: Tasks, wanted: Sequence[str], notes: list[str]) -> list[tuple[list[TaskRun], str]]:
    """Return the metrics to compare: those named, else all that cover every prompt."""
    known = {metric for runs in tasks.values() for metric in runs[0].scores}
    for metric in wanted:
        if metric not in known:
            raise EvaluationError(f"--metric {metric}: no task has it{closest(metric, known)}")
    chosen = []
    for task, runs in tasks.items():
        if wanted:
            chosen += [(runs, metric) for metric in dict.fromkeys(wanted) if metric in runs[0].scores]
            continue
        metrics, restated = default_metrics(runs)
        chosen += [(runs, metric) for metric in metrics]
        notes += restated
        parts = len(runs[0].scores) - len(metrics) - len(restated)
        if parts:
            notes.append(
                f"{task}: {parts} metrics of some prompts alone are left out; name them with --metric"
            )
        if runs[0].skipped:
            notes.append(f"{task}: no single number a prompt, left out: {', '.join(sorted(runs[0].skipped))}")
    if not chosen:
        raise EvaluationError(
            f"{', '.join(tasks)}: no metric that is one number a prompt; name one with --metric"
        )
    return chosen


def _taxes(tasks: Tasks, names: Sequence[str], options: Options) -> Taxes | None:
    if options.utility_expert is None:
        for option in ("safety_expert", "safety", "utility"):
            if getattr(options, option):
                raise EvaluationError(f"--{option.replace('_', '-')}: only with --utility-expert")
        return None
    parts = []
    for option, given, default in (
        ("--safety", options.safety, SAFETY),
        ("--utility", options.utility, UTILITY),
    ):
        wanted = given or [each for each in default if each.partition(":")[0] in tasks]
        if not wanted:
            raise EvaluationError(f"{option}: the runs have none of {', '.join(default)}; name TASK:METRIC")
        parts.append([_part(tasks, option, each) for each in wanted])
    experts = options.utility_expert, options.safety_expert
    return safety_taxes(parts[0], parts[1], names, experts, options.seed, options.resamples)


def _part(tasks: Tasks, option: str, wanted: str) -> Scores:
    task, colon, metric = wanted.partition(":")
    if not colon or task not in tasks:
        raise EvaluationError(f"{option} {wanted}: expected TASK:METRIC{closest(task, tasks)}")
    scores = join(tasks[task], metric)
    if scores.higher_is_better is False:
        raise EvaluationError(f"{option} {wanted}: lower is better; name a metric of which higher is better")
    return scores
