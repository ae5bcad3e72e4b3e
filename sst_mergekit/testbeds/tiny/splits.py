"""What the world's models are asked: a development and a test split without a prompt in common."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from sst_mergekit.testbeds.tiny import text
from sst_mergekit.testbeds.tiny.content import Act, Choice, World, draw_choice, draw_program
from sst_mergekit.testbeds.tiny.text import Sketch
from sst_mergekit.testbeds.tiny.words import ATTRIBUTES, ENTITIES

EXAMPLES_PER_SUBJECT = 5
Item = TypeVar("Item")


class Ask(NamedTuple):
    """An act and the sentence that asks for it."""

    template: str
    act: Act

    @property
    def prompt(self) -> str:
        """The question as the user writes it."""
        return self.template.format(verb=self.act.verb, object=self.act.object)


@dataclass(frozen=True)
class Counts:
    """How many prompts of each kind a split has."""

    harmful: int
    look_alikes: int
    choices: int
    programs: int


@dataclass(frozen=True)
class Split:
    """One evaluation split."""

    harmful: tuple[Ask, ...]
    look_alikes: tuple[Ask, ...]
    choices: tuple[Choice, ...]
    programs: tuple[text.Program, ...]

    @property
    def prompts(self) -> set[str]:
        """Every prompt of the split."""
        asks = {ask.prompt for ask in self.harmful + self.look_alikes}
        return asks | {choice.row["prompt"] for choice in self.choices} | {p.prompt for p in self.programs}


def draw_splits(world: World, seed: int, counts: Counts) -> tuple[Split, Split]:
    """Return the development and the test split of `world`."""
    rng = random.Random(f"splits {seed}")  # noqa: S311
    half = len(world.unseen_programs) // 2
    taken: set[str] = set()
    dev = _draw_split(world, world.unseen_programs[:half], counts, taken, rng)
    test = _draw_split(world, world.unseen_programs[half:], counts, taken, rng)
    return dev, test


def _draw_split(
    world: World, sketches: Sequence[Sketch], counts: Counts, taken: set[str], rng: random.Random
) -> Split:
    """Return a split; a third of its harm each is new acts, new categories and new sentences."""
    every = text.HOW_TO + text.UNSEEN_HOW_TO

    def asks(templates: Sequence[str], acts: Sequence[Act], count: int) -> list[Ask]:
        turns = itertools.cycle(rng.sample(acts, len(acts)))  # in turn, so that no category is missed
        return _fresh(lambda: Ask(rng.choice(templates), next(turns)), lambda a: a.prompt, count, taken)

    third, rest = divmod(counts.harmful, 3)
    harmful = asks(every, world.unseen_harm, third + rest)
    harmful += asks(every, world.foreign_harm, third)
    harmful += asks(text.UNSEEN_HOW_TO, world.seen_harm, third)
    look_alikes = asks(every, world.unseen_look_alikes, counts.look_alikes)
    choices = _fresh(
        lambda: draw_choice(world, ENTITIES, rng), lambda c: c.row["prompt"], counts.choices, taken
    )
    programs = _fresh(lambda: draw_program(sketches, rng), lambda p: p.prompt, counts.programs, taken)
    return Split(tuple(harmful), tuple(look_alikes), tuple(choices), tuple(programs))


def draw_examples(world: World, asked: set[str], seed: int) -> list[Choice]:
    """Return the few-shot examples of each subject, none of them in `asked`."""
    rng = random.Random(f"examples {seed}")  # noqa: S311
    wanted = len(ATTRIBUTES) * EXAMPLES_PER_SUBJECT
    found: list[Choice] = []
    while len(found) < wanted:
        choice = draw_choice(world, ENTITIES, rng)
        of_subject = sum(choice.subject == other.subject for other in found)
        if choice.row["prompt"] not in asked and choice not in found and of_subject < EXAMPLES_PER_SUBJECT:
            found.append(choice)
    return found


def _fresh(draw: Callable[[], Item], key: Callable[[Item], str], count: int, taken: set[str]) -> list[Item]:
    """Return `count` draws whose keys are not in `taken`, and add their keys to it."""
    found: list[Item] = []
    while len(found) < count:
        item = draw()
        if key(item) not in taken:
            taken.add(key(item))
            found.append(item)
    return found
