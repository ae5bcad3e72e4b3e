"""The lm-eval tasks that a study scores by, and their development and test documents."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sst_mergekit.errors import SstError, closest
from sst_mergekit.metrics.estimate import Rate, mean_rate
from sst_mergekit.testbeds.scores import Scores

SPLITS = ("dev", "test")


@dataclass(frozen=True)
class Metric:
    """A metric of a task, which may be another task on each split.

    Attributes:
        dev, test: the task's name on either split.
        metric: as in lm-eval's results, ``acc`` or ``exact_match,flexible-extract``.
    """

    dev: str
    test: str
    metric: str

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.test}:{self.metric}"

    def task(self, split: str) -> str:
        """Return the task's name on a split."""
        return self.dev if split == "dev" else self.test


@dataclass(frozen=True)
class Tasks:
    """What is asked.

    Attributes:
        safety, utility: metrics, each a share of what went well; either's mean is what is compared.
        include_path: folders of lm-eval tasks beside ours and lm-eval's.
        data_dirs: the folder of our tasks' data on each split; None for the Hub.
        share: of each task's documents for development, told by their hashes; None where the data's folders,
            or other tasks, are the splits.
        samples: documents a task and split at most; None for all.
    """

    safety: tuple[Metric, ...]
    utility: tuple[Metric, ...]
    include_path: tuple[str, ...] = ()
    data_dirs: tuple[str | None, str | None] = (None, None)
    share: float | None = None
    samples: int | None = None

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All of them, each once."""
        return tuple(dict.fromkeys((*self.safety, *self.utility)))

    def names(self, split: str) -> list[str]:
        """Return the tasks of a split, each once."""
        return list(dict.fromkeys(metric.task(split) for metric in self.metrics))

    def inputs(self, split: str, seed: int) -> dict[str, Any]:
        """Return what the scores on a split depend on, as plain JSON."""
        from sst_mergekit.jobs.manifest import tree_hash

        data = self.data_dirs[SPLITS.index(split)]
        return {
            "split": split,
            "tasks": self.names(split),
            "include_path": list(self.include_path),
            "include_hash": [tree_hash(Path(path)) for path in self.include_path],
            "data_dir": data,
            "data_hash": tree_hash(Path(data)) if data else None,
            "share": self.share,
            "split_seed": seed,
            "samples": self.samples,
        }

    def scores(self, split: str, table: Mapping[str, Mapping[str, Rate]]) -> Scores:
        """Return what is compared, from lm-eval's table."""

        def rate(metric: Metric) -> Rate:
            found = table[metric.task(split)][metric.metric]
            return Rate(found.value, found.stderr, found.n)

        parts = {metric.label: rate(metric) for metric in self.utility}
        return Scores(mean_rate([rate(metric) for metric in self.safety]), parts)


def loaded(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tasks of a score's inputs, as lm-eval takes them.

    Raises:
        EvaluationError, DataError: an unknown task, or its data are not there.
    """
    from sst_mergekit.evaluation.harness import load_tasks

    folders = inputs["include_path"]
    return load_tasks(inputs["tasks"], data_dir=inputs["data_dir"], include_path=folders)


def chosen(inputs: Mapping[str, Any], tasks: Mapping[str, Any]) -> dict[str, list[int]] | None:
    """Return the documents that are asked on a split, by task; None for all.

    Raises:
        EvaluationError: a task with too few documents to be split.
    """
    from sst_mergekit.evaluation.harness import split_documents

    share, most = inputs["share"], inputs["samples"]
    if share is None and most is None:
        return None
    found = {}
    for name, task in tasks["tasks"].items():
        numbers = list(range(len(task.eval_docs)))
        if share is not None:
            numbers = split_documents(task, share, inputs["split_seed"])[SPLITS.index(inputs["split"])]
        found[name] = _some(numbers, most, f"{name} {inputs['split']} {inputs['split_seed']}")
    return found


def _some(numbers: Sequence[int], most: int | None, seed: str) -> list[int]:
    """Return so many of the numbers, chosen by the seed."""
    if most is None or len(numbers) <= most:
        return list(numbers)

    def place(number: int) -> bytes:
        return hashlib.sha256(f"{seed} {number}".encode()).digest()

    return sorted(sorted(numbers, key=place)[:most])


def check(tasks: Tasks, unsafe_code: bool) -> dict[str, int]:
    """Return how many documents each task asks, by ``split task``, after all of them have been loaded.

    Raises:
        SstError: an unknown task or metric, one where less is better, documents in both splits, or programs
            that would be run without leave.
    """
    counts: dict[str, int] = {}
    asked: dict[tuple[str, str], set[str]] = {}
    for split in SPLITS:
        inputs = tasks.inputs(split, 0)
        found = loaded(inputs)
        unsafe = [name for name, task in found["tasks"].items() if getattr(task, "UNSAFE_CODE", False)]
        if unsafe and not unsafe_code:
            raise SstError(
                f"tasks: {', '.join(unsafe)} runs programs that the models write, in the sandbox; allow it "
                "by --confirm-run-unsafe-code, or leave the task out"
            )
        for where, metrics in (("safety", tasks.safety), ("utility", tasks.utility)):
            for metric in metrics:
                _check_metric(f"tasks.{where}", metric, split, found)
        numbers = chosen(inputs, found)
        for name, task in found["tasks"].items():
            docs = list(task.eval_docs)
            wanted = numbers[name] if numbers else range(len(docs))
            counts[f"{split} {name}"] = len(wanted)
            asked[split, name] = {_digest(docs[number]) for number in wanted}
    pairs = {(metric.dev, metric.test) for metric in tasks.metrics}
    pairs |= {(name, name) for _, name in asked}
    for dev, test in sorted(pairs):
        both = asked.get(("dev", dev), set()) & asked.get(("test", test), set())
        if both:
            raise SstError(
                f"split: {len(both)} documents of {test} are in development and in test; give split.dev a "
                "share, two folders, or a task for each split ({dev: TASK:METRIC, test: TASK:METRIC})"
            )
    return counts


def _check_metric(where: str, metric: Metric, split: str, found: Mapping[str, Any]) -> None:
    name = metric.task(split)
    if name in found["tasks"]:
        task = found["tasks"][name]
        known = dict(task.higher_is_better())
        word = metric.metric.partition(",")[0]
        if word not in known:
            raise SstError(f"{where}: {name} has no metric {word!r}{closest(word, known)}")
        if not known[word]:
            raise SstError(f"{where}: {name}:{word}: less of it is better; name a metric of what went well")


def _digest(doc: Any) -> str:
    return hashlib.sha256(repr(doc).encode()).hexdigest()


def parsed(where: str, entries: Sequence[Any]) -> tuple[Metric, ...]:
    """Return the metrics of a list of ``TASK:METRIC`` and ``{dev: TASK:METRIC, test: TASK:METRIC}``.

    >>> parsed("tasks.utility", ["gsm8k:exact_match,flexible-extract"])[0].label
    'gsm8k:exact_match,flexible-extract'

    Raises:
        SstError: an entry of another form.
    """
    found = []
    for number, entry in enumerate(entries):
        sides = entry if isinstance(entry, Mapping) else {"dev": entry, "test": entry}
        if set(sides) != set(SPLITS) or not all(
            isinstance(text, str) and ":" in text for text in sides.values()
        ):
            raise SstError(
                f"{where}[{number}]: got {entry!r}, expected TASK:METRIC, or {{dev: TASK:METRIC, "
                "test: TASK:METRIC}"
            )
        (dev, metric), (test, other) = (sides[split].split(":", 1) for split in SPLITS)
        if metric != other:
            raise SstError(f"{where}[{number}]: {metric} on dev and {other} on test; name the same metric")
        found.append(Metric(dev, test, metric))
    if not found:
        raise SstError(f"{where}: names no metric; add TASK:METRIC")
    return tuple(found)
