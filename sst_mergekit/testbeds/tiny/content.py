"""What is so in the world of one seed: its facts, its harms, and what of them training may see."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from sst_mergekit.testbeds.tiny import text
from sst_mergekit.testbeds.tiny.text import Sketch
from sst_mergekit.testbeds.tiny.words import (
    ATTRIBUTES,
    BENIGN_OBJECTS,
    BENIGN_TOOLS,
    ENTITIES,
    FUNCTION_NAMES,
    TOPICS,
    UNSEEN_TOPICS,
)

MOST = 9  # the largest number in a sum or a program
KEPT_ACTS = 2  # harmful acts of each category, 240 look-alikes and 500 programs are kept from training
KEPT_LOOK_ALIKES = 240
KEPT_PROGRAMS = 500
SEEN_PROGRAMS = 3500


class Act(NamedTuple):
    """A verb and its object; `topic` is the category of harm, or None if the act is harmless."""

    verb: str
    object: str
    topic: int | None


class Choice(NamedTuple):
    """A four-choice question."""

    question: str
    subject: str
    choices: tuple[str, ...]
    answer: int

    @property
    def row(self) -> text.Row:
        """The question as an exchange."""
        return text.choice_row(self.question, self.choices, self.answer)


@dataclass(frozen=True)
class World:
    """A seed's facts and its division of acts and programs into those trained on and those kept back."""

    facts: dict[tuple[str, str], str]  # (attribute, entity) -> value
    seen_harm: tuple[Act, ...]
    unseen_harm: tuple[Act, ...]  # the safety expert sees their categories, but not these acts
    foreign_harm: tuple[Act, ...]  # it sees nothing of their categories
    seen_look_alikes: tuple[Act, ...]
    unseen_look_alikes: tuple[Act, ...]
    seen_programs: tuple[Sketch, ...]  # of three steps each: the base sees programs of one step alone
    unseen_programs: tuple[Sketch, ...]


def harmful_acts(topic: int) -> list[Act]:
    """Return the harmful acts of a category: its verbs on its own objects."""
    return [Act(verb, thing, topic) for verb in TOPICS[topic].verbs for thing in TOPICS[topic].objects]


def benign_acts() -> list[Act]:
    """Return every act of harmless words."""
    return [Act(verb, thing, None) for verb in BENIGN_TOOLS for thing in BENIGN_OBJECTS]


def look_alike_acts() -> list[Act]:
    """Return the harmless acts with one harmful word: its verb or its object."""
    verbs = [Act(v, o, None) for topic in TOPICS for v in topic.verbs for o in BENIGN_OBJECTS]
    return verbs + [Act(v, o, None) for v in BENIGN_TOOLS for topic in TOPICS for o in topic.objects]


def make_world(seed: int) -> World:
    """Return the world of `seed`."""
    rng = random.Random(f"world {seed}")  # noqa: S311
    facts = {(a, e): rng.choice(values) for a, values in ATTRIBUTES.items() for e in ENTITIES}
    seen, unseen, foreign = [], [], []
    for topic in range(len(TOPICS)):
        acts = harmful_acts(topic)
        rng.shuffle(acts)
        if topic in UNSEEN_TOPICS:
            foreign += acts
        else:
            unseen += acts[:KEPT_ACTS]
            seen += acts[KEPT_ACTS:]
    alike = look_alike_acts()
    rng.shuffle(alike)
    sketches = _draw_sketches(SEEN_PROGRAMS + KEPT_PROGRAMS, rng)
    return World(
        facts=facts,
        seen_harm=tuple(seen),
        unseen_harm=tuple(unseen),
        foreign_harm=tuple(foreign),
        seen_look_alikes=tuple(alike[KEPT_LOOK_ALIKES:]),
        unseen_look_alikes=tuple(alike[:KEPT_LOOK_ALIKES]),
        seen_programs=sketches[KEPT_PROGRAMS:],
        unseen_programs=sketches[:KEPT_PROGRAMS],
    )


def without_topics(world: World, count: int, seed: int) -> World:
    """Return `world` without the seen harm of `count` of its categories."""
    topics = sorted({act.topic for act in world.seen_harm if act.topic is not None})
    held = random.Random(f"held out {seed}").sample(topics, count)  # noqa: S311
    return replace(world, seen_harm=tuple(act for act in world.seen_harm if act.topic not in held))


def one_step_programs() -> list[Sketch]:
    """Return every program of one step."""
    return [((step, number),) for step in range(len(text.STEPS)) for number in range(1, MOST + 1)]


def _draw_sketches(count: int, rng: random.Random) -> tuple[Sketch, ...]:
    """Return `count` different programs of three steps."""
    kinds = (len(text.STEPS), len(text.THEN), len(text.THEN))
    found: dict[Sketch, None] = {}
    while len(found) < count:
        found[tuple((rng.randrange(kind), rng.randint(1, MOST)) for kind in kinds)] = None
    return tuple(found)


def draw_choice(world: World, entities: Sequence[str], rng: random.Random) -> Choice:
    """Return a four-choice question about a fact."""
    subject, entity = rng.choice(list(ATTRIBUTES)), rng.choice(entities)
    question = rng.choice(text.FACT_QUESTIONS[subject]).format(entity=entity)
    right = world.facts[subject, entity]
    choices = [right, *rng.sample([value for value in ATTRIBUTES[subject] if value != right], 3)]
    rng.shuffle(choices)
    return Choice(question, subject, tuple(choices), choices.index(right))


def draw_sum(rng: random.Random) -> tuple[int, int, str]:
    """Return a small sum, left, right and sign, whose value is not negative."""
    left, right, sign = rng.randint(0, MOST), rng.randint(0, MOST), rng.choice("+-")
    return (max(left, right), min(left, right), sign) if sign == "-" else (left, right, sign)


def draw_program(sketches: Sequence[Sketch], rng: random.Random) -> text.Program:
    """Return one of `sketches` under a random name."""
    return text.program(rng.choice(FUNCTION_NAMES), rng.choice(sketches))
