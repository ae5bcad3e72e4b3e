"""Tasks of experiment 2 for Hub models: subjects of MMLU, an expert each.

The subjects with the most questions are taken, and their questions divided into training, development and
test. They are MMLU's own test and validation questions: what is measured is how much of an expert's score a
merge keeps, and no such score is one on MMLU.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sst_mergekit.errors import DataError
from sst_mergekit.evaluation.rows import Row, json_lines
from sst_mergekit.statistics.rows import prompt_hash
from sst_mergekit.testbeds.hub.download import check_file
from sst_mergekit.testbeds.hub.splits import answered, prompt_of
from sst_mergekit.testbeds.tiny.facts import task_name, write_lines, write_split

FILES = ("mmlu/test.jsonl", "mmlu/validation.jsonl")
NAMES = "subjects.json"
LEAST = 8  # questions to train an expert on


def make_tasks(inputs: Mapping[str, Any], parents: Mapping[str, Path], out: Path) -> None:
    """Write the tasks of a seed as ``facts.make_tasks`` does, and in ``subjects.json`` what each is.

    Args:
        inputs: ``data``, the folder of downloaded data; ``seed``, ``tasks``, and ``rows`` and ``prompts`` of
            each at most.
        parents: none.
        out: the folder.

    Raises:
        DataError: fewer subjects with enough questions than tasks.
    """
    prompts, rng = inputs["prompts"], random.Random(f"subjects {inputs['seed']}")  # noqa: S311
    found = chosen(Path(inputs["data"]), inputs["tasks"], LEAST + 2 * prompts)
    asked: dict[str, list[list[Row]]] = {"dev": [], "test": []}
    for number, questions in enumerate(found.values()):
        rows = rng.sample(questions, len(questions))
        asked["dev"].append(rows[:prompts])
        asked["test"].append(rows[prompts : 2 * prompts])
        taught = rows[2 * prompts : 2 * prompts + inputs["rows"]]
        write_lines(out / "train" / f"{task_name(number)}.jsonl", map(answered, taught))
    for split, tasks in asked.items():
        write_split(out / split, tasks)
    names = {task_name(number): subject for number, subject in enumerate(found)}
    write_lines(out / NAMES, [names])


def chosen(data: Path, count: int, least: int) -> dict[str, Sequence[Row]]:
    """Return the questions of the `count` subjects that have the most, each question once."""
    subjects: dict[str, dict[str, Row]] = {}
    for name in FILES:
        check_file(data, name)
        for _, row in json_lines(data / name):
            subjects.setdefault(row["subject"], {}).setdefault(prompt_hash(prompt_of(row)), row)
    order = sorted(subjects, key=lambda name: (-len(subjects[name]), name))[:count]
    enough = [name for name in order if len(subjects[name]) >= least]
    if len(enough) < count:
        raise DataError(
            f"exp2_multitask.num_experts: {count} experts need {count} subjects of MMLU with {least} "
            f"questions each, {data} has {len(enough)}; ask for fewer experts"
        )
    return {name: list(subjects[name].values()) for name in order}
