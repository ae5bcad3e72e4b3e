"""Scores many models in one process: tasks are built once, models are passed one after the other."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sst_mergekit.errors import EvaluationError, closest
from sst_mergekit.evaluation.out_of_memory import halving_batches
from sst_mergekit.metrics.estimate import Rate
from sst_mergekit.resources import tasks_path


def load_tasks(
    names: str | Sequence[str],
    *,
    data_dir: str | Path | None = None,
    metadata: Mapping[str, Any] | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Returns the tasks and groups `names` as lm-eval's ``TaskDict``, for `score` or ``lm_eval.evaluate``.

    Args:
        names: names of tasks or groups of this package.
        data_dir: folder of local files; without it (and its environment variable) the Hub is asked.
        metadata: further ``--metadata`` keys, e.g. ``{"split": "330k_test"}``.
        overrides: task name -> YAML keys to replace, e.g. ``{"sst_mmlu": {"num_fewshot": 0}}``. A dict
            such as ``generation_kwargs`` is merged into the task's, not put in its place.

    Raises:
        EvaluationError: an unknown name or key, or a task asked for twice.
        DataError: rows that are missing or damaged.
    """
    from lm_eval.tasks import TaskManager

    wanted = [names] if isinstance(names, str) else list(names)
    given = dict(metadata or {}) | ({} if data_dir is None else {"data_dir": str(data_dir)})
    manager = TaskManager(include_path=str(tasks_path()), include_defaults=False, metadata=given)
    for name in wanted:
        if name not in manager.all_tasks:
            raise EvaluationError(f"tasks: unknown name {name!r}{closest(name, manager.all_tasks)}")
    try:
        tasks = manager.load(wanted)
    except ValueError as error:
        if "Duplicate task" not in str(error):
            raise
        raise EvaluationError(f"tasks: {error}; ask for the group or for its members") from error
    _override(tasks["tasks"], overrides or {})
    return dict(tasks)


def score(
    lm: Any,
    tasks: Mapping[str, Any],
    *,
    confirm_run_unsafe_code: bool,
    apply_chat_template: bool | str = False,
    fewshot_as_multiturn: bool | None = None,
    system_instruction: str | None = None,
    limit: int | float | None = None,
) -> dict[str, Any]:
    """Returns lm-eval's results of `lm` on `tasks`, with one entry a document under ``samples``.

    The numbers are those of ``lm_eval run`` with the same settings; what is left out is its half second
    of probing the environment. `tasks` may be used again for the next model. An ``hf`` model that runs
    out of memory goes on with half the batch. Progress bars are tqdm's: ``TQDM_DISABLE=1`` in the
    environment, set before the first import, silences them.

    Args:
        lm: an ``lm_eval.api.model.LM``.
        tasks: what `load_tasks` returned.
        confirm_run_unsafe_code: True lets ``sst_humaneval`` run the model's programs on this machine.
        apply_chat_template: True, or the name of one of the tokenizer's templates.
        fewshot_as_multiturn: None is what lm-eval's command does: yes, if a chat template is applied.
        system_instruction: a system message before each prompt.
        limit: the first documents of each task only: a number, or a share below 1.

    Raises:
        EvaluationError: programs would be run without `confirm_run_unsafe_code`.
    """
    from lm_eval import evaluate
    from lm_eval.defaults import DEFAULT_OTHER_SEED

    from sst_mergekit.evaluation.prompts_once import prompts_once
    from sst_mergekit.evaluation.sandbox import keeping

    for task in tasks["tasks"].values():  # examples drawn at random are the same for every model
        task.set_fewshot_seed(DEFAULT_OTHER_SEED)
    unsafe = [name for name, task in tasks["tasks"].items() if getattr(task, "UNSAFE_CODE", False)]
    if unsafe and not confirm_run_unsafe_code:
        raise EvaluationError(
            f"{', '.join(unsafe)} runs programs that the model wrote; pass confirm_run_unsafe_code=True "
            "to allow it, or leave the task out"
        )
    multiturn = bool(apply_chat_template) if fewshot_as_multiturn is None else fewshot_as_multiturn
    with _without_count_warning(), halving_batches(), prompts_once(), keeping():
        results = evaluate(
            lm=lm,
            task_dict=tasks,
            limit=limit,
            apply_chat_template=apply_chat_template,
            fewshot_as_multiturn=multiturn,
            system_instruction=system_instruction,
            confirm_run_unsafe_code=confirm_run_unsafe_code,
            log_samples=True,
        )
    if results is None:
        raise EvaluationError("score: not the first rank of a distributed run, which alone has the results")
    return dict(results)


def summary(results: Mapping[str, Any]) -> dict[str, dict[str, Rate]]:
    """Returns ``{task or group: {metric: Rate}}`` of lm-eval's `results`.

    A metric of a filter other than lm-eval's ``none`` keeps it, as ``metric,filter``. `n` counts the
    documents that the metric was taken over, where `results` holds samples; else those of the task.
    """
    flat: dict[str, dict[str, Rate]] = {}
    for name, entries in results["results"].items():
        samples = results.get("samples", {}).get(name)
        flat[name] = {}
        for key, value in entries.items():
            metric, comma, kind = key.partition(",")
            if not comma or metric.endswith("_stderr"):
                continue
            stderr = entries.get(f"{metric}_stderr,{kind}")
            flat[name][metric if kind == "none" else key] = Rate(
                value=float(value),
                stderr=float(stderr) if isinstance(stderr, (int, float)) else None,
                n=entries["sample_len"] if samples is None else _count(samples, metric, kind),
            )
    return flat


def _count(samples: Sequence[Mapping[str, Any]], metric: str, kind: str) -> int:
    return sum(sample["filter"] == kind and metric in sample["metrics"] for sample in samples)


def _override(tasks: Mapping[str, Any], overrides: Mapping[str, Mapping[str, Any]]) -> None:
    for name, settings in overrides.items():
        if name not in tasks:
            raise EvaluationError(f"overrides: {name!r} is not among the tasks{closest(name, tasks)}")
        known = vars(tasks[name].config)
        for key, value in settings.items():
            if key not in known:
                raise EvaluationError(f"overrides.{name}: unknown key {key!r}{closest(key, known)}")
            tasks[name].set_config(key, value, update=isinstance(value, Mapping))


@contextmanager
def _without_count_warning() -> Iterator[None]:
    """Holds back lm-eval's warning that per-category metrics count fewer documents: `Rate.n` says so."""
    logger = logging.getLogger("lm_eval.evaluator_utils")

    def wanted(record: logging.LogRecord) -> bool:
        return "not scored on the same number" not in record.getMessage()

    logger.addFilter(wanted)
    try:
        yield
    finally:
        logger.removeFilter(wanted)
