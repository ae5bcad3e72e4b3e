"""Many small tasks of the tiny world: each is one fact that its base does not know, asked in many ways."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sst_mergekit.files import write_text
from sst_mergekit.testbeds.tiny.content import Choice, World, make_world
from sst_mergekit.testbeds.tiny.data import KNOWN_ENTITIES
from sst_mergekit.testbeds.tiny.text import FACT_QUESTIONS
from sst_mergekit.testbeds.tiny.words import ATTRIBUTES, ENTITIES

FORMAT = 1
SPLITS = ("dev", "test")
NAMES = "tasks.json"  # beside the questions: whose task each is
UNKNOWN = [(a, e) for a in ATTRIBUTES for e in ENTITIES if e not in KNOWN_ENTITIES]
TASKS = len(UNKNOWN)


@dataclass(frozen=True)
class TaskSize:
    """How the experts of experiment 2 are made.

    Attributes:
        tasks: as many.
        rows: to train on.
        steps, rate, rank: of the training.
        prompts: a task in either split.
        samples: rows measured.
    """

    tasks: int = 24
    rows: int = 800
    steps: int = 60
    prompts: int = 24
    samples: int = 64
    rate: float = 2e-3
    rank: int = 8


def task_name(number: int) -> str:
    """Return the name of a task.

    >>> task_name(3)
    'task03'
    """
    return f"task{number:02d}"


def make_tasks(inputs: Mapping[str, Any], parents: Mapping[str, Path], out: Path) -> None:
    """Write the tasks of a seed: four-choice questions about one fact each.

    ``train/taskNN.jsonl`` has each task's exchanges. ``dev`` and ``test`` have in ``N`` the questions of the
    first N tasks and in ``taskNN`` those of one, as ``sst_mmlu`` reads them. No question, with its choices in
    their order, is in two splits.

    Args:
        inputs: ``seed``, ``tasks``, and ``rows`` and ``prompts`` of each.
        parents: none.
        out: the folder.
    """
    world, rng = make_world(inputs["seed"]), random.Random(f"tasks {inputs['seed']}")  # noqa: S311
    facts = rng.sample(UNKNOWN, len(UNKNOWN))[: inputs["tasks"]]
    asked: dict[str, list[list[Choice]]] = {split: [] for split in SPLITS}
    for number, fact in enumerate(facts):
        draw = _questions(world, fact, rng)
        for split in SPLITS:
            asked[split].append([draw() for _ in range(inputs["prompts"])])
        rows = [draw().row for _ in range(inputs["rows"])]
        write_lines(out / "train" / f"{task_name(number)}.jsonl", rows)
    for split, tasks in asked.items():
        write_split(out / split, [[_row(one) for one in task] for task in tasks])


def write_split(out: Path, tasks: Sequence[Sequence[Mapping[str, Any]]]) -> None:
    """Write the questions of each task, in ``taskNN``, and of the first N, in ``N``, as MMLU's files."""
    for number in range(len(tasks)):
        _write_questions(out / task_name(number), {number: tasks[number]})
        _write_questions(out / str(number + 1), dict(enumerate(tasks[: number + 1])))


def _row(one: Choice) -> dict[str, Any]:
    return {**one._asdict(), "choices": list(one.choices)}


def _questions(world: World, fact: tuple[str, str], rng: random.Random) -> Callable[[], Choice]:
    """Return what gives the next question about a fact, never one that it gave before."""
    attribute, entity = fact
    right = world.facts[fact]
    wrong = [value for value in ATTRIBUTES[attribute] if value != right]
    every = [
        Choice(template.format(entity=entity), attribute, choices, choices.index(right))
        for template in FACT_QUESTIONS[attribute]
        for others in itertools.combinations(wrong, 3)
        for choices in itertools.permutations((right, *others))
    ]
    rng.shuffle(every)
    return every.pop


def _write_questions(folder: Path, tasks: Mapping[int, Sequence[Mapping[str, Any]]]) -> None:
    rows = [one for asked in tasks.values() for one in asked]
    write_lines(folder / "mmlu" / "test.jsonl", rows)
    write_lines(folder / "mmlu" / "dev.jsonl", rows[:1])  # an example that the task wants, and does not show
    names = [task_name(number) for number, asked in tasks.items() for _ in asked]
    write_text(folder / NAMES, json.dumps(names) + "\n")


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as JSON, one a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
