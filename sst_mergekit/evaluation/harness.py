"""Scores many models in one process: tasks are built once, models are passed one after the other.

It stands before ``lm_eval.evaluate`` for what that leaves to its caller: seeds, consent, checks in one line,
and a table with the number of documents behind each metric.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Real
from pathlib import Path
from typing import Any

from sst_mergekit.errors import EvaluationError, closest
from sst_mergekit.evaluation.out_of_memory import halving
from sst_mergekit.evaluation.task_names import our_tasks, task_folders
from sst_mergekit.metrics.estimate import Rate


def load_tasks(
    names: str | Sequence[str],
    *,
    data_dir: str | Path | None = None,
    include_path: str | Path | Sequence[str | Path] = (),
    metadata: Mapping[str, Any] | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return the tasks and groups `names` as lm-eval's ``TaskDict``, for `score` or ``lm_eval.evaluate``.

    Args:
        names: names of tasks, groups or tags: ours, lm-eval's own, or of a folder of the include path.
        data_dir: folder of our tasks' local files; without it (and its variable) the Hub is asked.
        include_path: further folders of task files; a later one wins where two have the same name.
        metadata: further ``--metadata`` keys, e.g. ``{"split": "330k_test"}``.
        overrides: task name -> YAML keys to replace, e.g. ``{"sst_mmlu": {"num_fewshot": 0}}``. A dict
            such as ``generation_kwargs`` is merged into the task's, not put in its place.

    Raises:
        EvaluationError: an unknown name, key or folder, or a task asked for twice.
        DataError: rows that are missing or damaged.
    """
    from lm_eval.tasks import TaskManager

    wanted = [names] if isinstance(names, str) else list(names)
    given = dict(metadata or {}) | ({} if data_dir is None else {"data_dir": str(data_dir)})
    folders = task_folders(include_path)
    # lm-eval's own 14,000 files take seconds; a group of the user's may name some of them
    manager = TaskManager(include_path=list(folders), include_defaults=False, metadata=given)
    if not set(wanted) <= our_tasks() | set(manager.all_subtasks):
        manager = TaskManager(include_path=list(folders), metadata=given)
    for name in wanted:
        if name not in manager.all_tasks:
            near = difflib.get_close_matches(name, manager.all_tasks, n=5)
            hint = f"did you mean {', '.join(near)}?" if near else "'sst-mergekit eval ls tasks' lists all"
            raise EvaluationError(f"tasks: unknown name {name!r} ({hint})")
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
    samples: Mapping[str, Collection[int]] | None = None,
) -> dict[str, Any]:
    """Return lm-eval's results of `lm` on `tasks`, with one entry a document under ``samples``.

    The numbers are those of ``lm_eval run`` with the same settings; what is left out is its seconds of
    probing the environment. `tasks` may be used again for the next model. Where memory runs out it begins
    again with half the batch. Progress bars are tqdm's: ``TQDM_DISABLE=1`` in the environment, set before
    the first import, silences them.

    Args:
        lm: an ``lm_eval.api.model.LM``.
        tasks: what `load_tasks` returned.
        confirm_run_unsafe_code: True lets a task such as ``sst_humaneval`` run programs that the model wrote.
        apply_chat_template: True, or the name of one of the tokenizer's templates.
        fewshot_as_multiturn: None is what lm-eval's command does: yes, if a chat template is applied.
        system_instruction: a system message before each prompt.
        limit: the first documents of each task only: a number, or a share below 1.
        samples: task name -> numbers of the documents to ask, from 0; of other tasks all are asked.

    Raises:
        EvaluationError: programs would be run without `confirm_run_unsafe_code`, or `samples` names what is
            not there.
    """
    from lm_eval import evaluator
    from lm_eval.defaults import DEFAULT_OTHER_SEED

    from sst_mergekit.evaluation.sandbox import keeping

    for task in tasks["tasks"].values():  # examples drawn at random are the same for every model
        task.set_fewshot_seed(DEFAULT_OTHER_SEED)
    unsafe = [name for name, task in tasks["tasks"].items() if getattr(task, "UNSAFE_CODE", False)]
    if unsafe and not confirm_run_unsafe_code:
        raise EvaluationError(
            f"{', '.join(unsafe)} runs programs that the model wrote; pass confirm_run_unsafe_code=True "
            "to allow it, or leave the task out"
        )
    if limit is not None and samples is not None:
        raise EvaluationError("score: limit and samples exclude each other; give one of them")
    asked = None if samples is None else _checked(samples, tasks["tasks"])
    multiturn = bool(apply_chat_template) if fewshot_as_multiturn is None else fewshot_as_multiturn
    evaluate: Callable[..., Any] = evaluator.evaluate  # its decorator loses its signature

    def attempt(size: int | None) -> Any:
        if size is not None:
            lm.batch_size_per_gpu = size
        return evaluate(
            lm=lm,
            task_dict=tasks,
            limit=limit,
            samples=asked,
            apply_chat_template=apply_chat_template,
            fewshot_as_multiturn=multiturn,
            system_instruction=system_instruction,
            confirm_run_unsafe_code=confirm_run_unsafe_code,
            log_samples=True,
        )

    size = getattr(lm, "batch_size_per_gpu", None)
    with _without_count_warning(), keeping():
        results = halving(attempt, size if isinstance(size, int) else None)
    if results is None:
        raise EvaluationError("score: not the first rank of a distributed run, which alone has the results")
    return dict(results)


def split_documents(task: Any, share: float, seed: int = 0) -> tuple[list[int], list[int]]:
    """Return the numbers of a task's documents for development and for test, as `score` takes them.

    A document's SHA-256, with the seed, says where it goes: on the same side whatever its place and whatever
    else the task holds, and its copies with it. So development has about the `share`, not exactly.

    Args:
        task: one of ``load_tasks(…)["tasks"]``.
        share: of the documents for development, above 0 and below 1.
        seed: another seed gives another split.

    Raises:
        EvaluationError: a share out of range, or a side without a document.
    """
    from lm_eval.utils import handle_non_serializable

    if not 0 < share < 1:
        raise EvaluationError(f"split_documents: share: got {share}, expected a number above 0 and below 1")
    sides: tuple[list[int], list[int]] = [], []
    for number, doc in enumerate(task.eval_docs):
        text = json.dumps([seed, doc], sort_keys=True, default=handle_non_serializable)
        place = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big") / 2**256
        sides[place >= share].append(number)
    if not all(sides):
        raise EvaluationError(
            f"split_documents: {task.config.task}: of {sum(map(len, sides))} documents a share of {share} "
            "leaves one side empty; take another share or seed"
        )
    return sides


def summary(results: Mapping[str, Any]) -> dict[str, dict[str, Rate]]:
    """Return ``{task or group: {metric: Rate}}`` of lm-eval's `results`, for every metric that is a number.

    A metric of a filter other than lm-eval's ``none`` keeps it, as ``metric,filter``. `n` counts the
    documents that the metric was taken over, where `results` holds samples; else those of the task.
    """
    flat: dict[str, dict[str, Rate]] = {}
    for name, entries in results["results"].items():
        samples = results.get("samples", {}).get(name)
        flat[name] = {}
        for key, value in entries.items():
            metric, comma, kind = key.partition(",")
            if not comma or metric.endswith("_stderr") or not isinstance(value, Real):
                continue
            stderr = entries.get(f"{metric}_stderr,{kind}")
            flat[name][metric if kind == "none" else key] = Rate(
                value=float(value),
                stderr=float(stderr) if isinstance(stderr, Real) else None,
                n=entries["sample_len"] if samples is None else _count(samples, metric, kind),
            )
    return flat


def _count(samples: Sequence[Mapping[str, Any]], metric: str, kind: str) -> int:
    return sum(sample["filter"] == kind and metric in sample["metrics"] for sample in samples)


def _checked(samples: Mapping[str, Collection[int]], tasks: Mapping[str, Any]) -> dict[str, list[int]]:
    """Return `samples` as lm-eval reads them rightly: rising, for it numbers what it asks by their order."""
    for name, numbers in samples.items():
        if name not in tasks:
            raise EvaluationError(f"samples: {name!r} is not among the tasks{closest(name, tasks)}")
        count = len(tasks[name].eval_docs)
        if not numbers or min(numbers) < 0 or max(numbers) >= count or len(set(numbers)) < len(numbers):
            raise EvaluationError(
                f"samples.{name}: expected at least one number from 0 to {count - 1}, each once; got "
                f"{sorted(numbers)[:3]} to {sorted(numbers)[-3:]}"
            )
    return {name: sorted(numbers) for name, numbers in samples.items()}


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
    """Hold back lm-eval's warning that per-category metrics count fewer documents: `Rate.n` says so."""
    logger = logging.getLogger("lm_eval.evaluator_utils")

    def wanted(record: logging.LogRecord) -> bool:
        return "not scored on the same number" not in record.getMessage()

    logger.addFilter(wanted)
    try:
        yield
    finally:
        logger.removeFilter(wanted)
