"""The demo's tiny world: its sizes, and its files on disk.

What it is for: a safety patch that costs utility. The safety expert sees refusals and a little harmless
how-to, nothing of the skills, so that its patch disturbs what the utility expert has learnt last (programs of
three steps, which the base has never seen) and makes it refuse harmless look-alikes. The demo's report prints
the conflict: Task Arithmetic's safety tax, which was the only thing looked at when the world was shaped.

In the drifted world the safety expert is an aligned model, which refuses in every sentence. The utility
expert is made from it, on skill data with little how-to and no look-alikes, and loses many of its refusals;
the patch, aligned less base, is to bring them back. Its settings were chosen on seeds 20 to 22 by the
unmerged models and Task Arithmetic alone.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sst_mergekit.files import write_text
from sst_mergekit.testbeds.tiny import data
from sst_mergekit.testbeds.tiny.content import Choice, make_world, without_topics
from sst_mergekit.testbeds.tiny.splits import Ask, Counts, Split, draw_examples, draw_splits
from sst_mergekit.testbeds.tiny.text import Program, how_to
from sst_mergekit.testbeds.tiny.words import TOPICS

FORMAT = 6  # rises when the same seed gives another world
HELD_OUT = 256  # benign rows of which none is a calibration row
BATCH = 32  # exchanges in a training step; the training files hold each step's own


@dataclass(frozen=True)
class WorldSize:
    """How large the models are, how long they are trained, and how much is asked.

    Attributes:
        width, layers: of the models.
        base_steps, utility_steps, safety_steps: optimiser steps.
        replay: share of harmless how-to in the safety expert's training.
        harmful_prompts, look_alikes, choice_questions, programs: prompts of each kind a split.
        calibration_rows: rows of each calibration file.
        held_out: categories that the safety expert sees and the calibration rows do not.
        drifted: whether the utility expert is made from the safety expert, not from the base.
        safety_rate: learning rate of the safety expert.
    """

    width: int
    layers: int
    base_steps: int
    utility_steps: int
    safety_steps: int
    replay: float
    harmful_prompts: int
    look_alikes: int
    choice_questions: int
    programs: int
    calibration_rows: int
    held_out: int = 0
    drifted: bool = False
    safety_rate: float = 5e-3


FULL = WorldSize(
    width=128,
    layers=3,
    base_steps=600,
    utility_steps=320,
    safety_steps=240,
    replay=0.15,
    harmful_prompts=168,
    look_alikes=90,
    choice_questions=160,
    programs=192,
    calibration_rows=400,
)
QUICK = WorldSize(
    width=96,
    layers=3,
    base_steps=500,
    utility_steps=230,
    safety_steps=200,
    replay=0.15,
    harmful_prompts=90,
    look_alikes=48,
    choice_questions=80,
    programs=32,
    calibration_rows=200,
)


def drifted(size: WorldSize) -> WorldSize:
    """Return the world of an aligned model that loses its refusals while it is fine-tuned on the skills."""
    return replace(size, drifted=True, safety_rate=5e-4, utility_steps=size.utility_steps * 3 // 4)


def build_data(out: Path, seed: int, size: WorldSize) -> None:
    """Write ``dev/``, ``test/``, ``train/``, ``calibration/`` and ``held_out/`` under `out`.

    The same bytes for a seed. No prompt of dev is in test, and no prompt of either is in training or
    calibration.
    """
    world = make_world(seed)
    counts = Counts(size.harmful_prompts, size.look_alikes, size.choice_questions, size.programs)
    dev, test = draw_splits(world, seed, counts)
    asked = dev.prompts | test.prompts
    safety = data.safety_course(size.replay, size.drifted)
    utility = data.DRIFT if size.drifted else data.UTILITY
    for name, course, count in (
        ("train/base", data.BASE, size.base_steps * BATCH),
        ("train/utility", utility, size.utility_steps * BATCH),
        ("train/safety", safety, size.safety_steps * BATCH),
        ("calibration/harm", safety, size.calibration_rows),
        ("calibration/benign", data.BENIGN, size.calibration_rows),
    ):
        rng = random.Random(f"{name} {seed}")  # noqa: S311
        source = without_topics(world, size.held_out, seed) if name == "calibration/harm" else world
        drawn = data.draw_kinds(source, course, count, asked, rng)
        _write(out / f"{name}.jsonl", [row for _, row in drawn])
        if name == "calibration/benign":  # prompts alone: what is measured on them answers them
            alike = ({"prompt": row["prompt"]} for kind, row in drawn if kind == "look_alike")
            _write(out / "calibration" / "look_alikes.jsonl", alike)
            known = {row["prompt"] for _, row in drawn}
            rng = random.Random(f"held-out benign {seed}")  # noqa: S311
            _write(out / "held_out" / "benign.jsonl", data.draw_rows(world, course, HELD_OUT, known, rng))
    examples = draw_examples(world, asked, seed)
    _write_split(dev, out / "dev", examples)
    _write_split(test, out / "test", examples)
    made = {"format": FORMAT, "seed": seed, **asdict(size)}
    write_text(out / "world.json", json.dumps(made, indent=1) + "\n")


def _write_split(split: Split, folder: Path, examples: Iterable[Choice]) -> None:
    """Writes one split in the layout that the lm-eval tasks read from a local folder."""
    _write(folder / "beavertails" / "30k_test.jsonl", map(_harmful, split.harmful))
    _write(
        folder / "over_refusal" / "test.jsonl",
        ({"prompt": a.prompt, "label": "safe"} for a in split.look_alikes),
    )
    _write(folder / "mmlu" / "test.jsonl", map(_choice, split.choices))
    _write(folder / "mmlu" / "dev.jsonl", map(_choice, examples))
    _write(folder / "humaneval" / "test.jsonl", (_program(i, p) for i, p in enumerate(split.programs)))


def _harmful(ask: Ask) -> dict[str, Any]:
    return {
        "prompt": ask.prompt,
        "response": how_to(ask.template, ask.act.verb, ask.act.object)["response"],
        "category": {topic.key: index == ask.act.topic for index, topic in enumerate(TOPICS)},
        "is_safe": False,
    }


def _choice(choice: Choice) -> dict[str, Any]:
    return {**choice._asdict(), "choices": list(choice.choices)}


def _program(number: int, task: Program) -> dict[str, Any]:
    return {
        "task_id": f"World/{number}",
        "prompt": task.prompt,
        "canonical_solution": task.body,
        "test": task.test,
        "entry_point": task.name,
    }


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_text(path, "".join(lines))
