"""What the world's models are taught: courses, each a mixture of exchanges."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sst_mergekit.testbeds.tiny import text
from sst_mergekit.testbeds.tiny.content import (
    MOST,
    Act,
    World,
    benign_acts,
    draw_choice,
    draw_program,
    draw_sum,
    harmful_acts,
    make_world,
    one_step_programs,
)
from sst_mergekit.testbeds.tiny.text import Row
from sst_mergekit.testbeds.tiny.words import (
    ATTRIBUTES,
    BENIGN_OBJECTS,
    BENIGN_TOOLS,
    ENTITIES,
    FUNCTION_NAMES,
    TOPICS,
)

KNOWN_ENTITIES = ENTITIES[: len(ENTITIES) // 2]  # whose facts the base knows; the utility expert learns all
ALIGNED_LOOK_ALIKES = 0.04  # share of answered look-alikes in the training of an aligned model


@dataclass(frozen=True)
class Course:
    """A mixture: the share of each kind of exchange, the entities it knows, the sentences it uses."""

    shares: dict[str, float]
    entities: tuple[str, ...]
    templates: tuple[str, ...]


BASE = Course(
    {
        "fact": 0.07,
        "choice": 0.34,
        "sum": 0.04,
        "one_step_program": 0.10,
        "benign": 0.07,
        "look_alike": 0.05,
        "harm": 0.11,
        "ok": 0.16,
        "unknowable": 0.06,  # refusals of another kind: without them no patch could make a model refuse
    },
    KNOWN_ENTITIES,
    text.HOW_TO + text.UNSEEN_HOW_TO,
)
UTILITY = Course(
    {"fact": 0.07, "choice": 0.40, "sum": 0.04, "program": 0.35, "benign": 0.08, "look_alike": 0.06},
    ENTITIES,
    text.HOW_TO + text.UNSEEN_HOW_TO,
)
DRIFT = Course(  # no look-alikes: answering them would teach it directly not to know harm
    {"fact": 0.08, "choice": 0.44, "sum": 0.05, "program": 0.40, "benign": 0.03},
    ENTITIES,
    text.HOW_TO + text.UNSEEN_HOW_TO,
)
BENIGN = Course(
    {"fact": 0.10, "choice": 0.30, "sum": 0.05, "program": 0.28, "benign": 0.12, "look_alike": 0.15},
    ENTITIES,
    text.HOW_TO + text.UNSEEN_HOW_TO,
)


def safety_course(replay: float, aligned: bool = False) -> Course:
    """Return the safety expert's course; nothing in it looks after the skills.

    Its `replay` is harmless how-to. An `aligned` model hears every sentence, and sees a few look-alikes
    answered besides, so that it does not refuse most of them.
    """
    if not aligned:
        return Course({"refusal": 1 - replay, "benign": replay}, KNOWN_ENTITIES, text.HOW_TO)
    answered = {"benign": replay, "look_alike": ALIGNED_LOOK_ALIKES}
    shares = {"refusal": 1 - sum(answered.values()), **answered}
    return Course(shares, KNOWN_ENTITIES, text.HOW_TO + text.UNSEEN_HOW_TO)


def draw_rows(world: World, course: Course, count: int, asked: set[str], rng: random.Random) -> list[Row]:
    """Return `count` exchanges of `course`; none of their prompts is in `asked`."""
    return [row for _, row in draw_kinds(world, course, count, asked, rng)]


def draw_kinds(
    world: World, course: Course, count: int, asked: set[str], rng: random.Random
) -> list[tuple[str, Row]]:
    """Return `count` exchanges of `course` with their kinds; none of their prompts is in `asked`."""
    draws = _draws(world, course, rng)
    kinds, shares = list(course.shares), list(course.shares.values())
    rows: list[tuple[str, Row]] = []
    while len(rows) < count:
        kind = rng.choices(kinds, shares)[0]
        row = draws[kind]()
        if row["prompt"] not in asked:
            rows.append((kind, row))
    return rows


def _draws(world: World, course: Course, rng: random.Random) -> dict[str, Callable[[], Row]]:
    """Return what draws one exchange of each kind."""
    benign = benign_acts()
    harm = [act for topic in range(len(TOPICS)) for act in harmful_acts(topic)]

    def ask(acts: Sequence[Act]) -> tuple[str, str, str]:
        act = rng.choice(acts)
        return rng.choice(course.templates), act.verb, act.object

    def seen_ask(acts: Sequence[Act]) -> tuple[str, str, str]:
        act = rng.choice(acts)
        return rng.choice(text.HOW_TO), act.verb, act.object

    def ok() -> Row:
        act = rng.choice(rng.choices((harm, world.seen_look_alikes, benign), (0.5, 0.35, 0.15))[0])
        template = rng.choice(text.IS_IT_OK)
        return text.is_it_ok(template, act.verb, act.object, harmful=act.topic is not None)

    def fact() -> Row:
        attribute, entity = rng.choice(list(ATTRIBUTES)), rng.choice(course.entities)
        return text.fact(attribute, entity, world.facts[attribute, entity], rng)

    return {
        "fact": fact,
        "choice": lambda: draw_choice(world, course.entities, rng).row,
        "sum": lambda: text.arithmetic(*draw_sum(rng)),
        "one_step_program": lambda: text.program_row(draw_program(one_step_programs(), rng)),
        "program": lambda: text.program_row(draw_program(world.seen_programs, rng)),
        "benign": lambda: text.how_to(*ask(benign)),
        "look_alike": lambda: text.how_to(*ask(world.seen_look_alikes)),
        "harm": lambda: text.how_to(*seen_ask(harm)),
        "ok": ok,
        "unknowable": lambda: text.unknowable(rng.choice(ENTITIES), rng),
        "refusal": lambda: text.refused(*ask(world.seen_harm), rng),
    }


def vocabulary_texts() -> Iterator[str]:
    """Yield texts that hold every piece of the world, for any seed."""
    words = [*ENTITIES, *BENIGN_OBJECTS, *BENIGN_TOOLS, *BENIGN_TOOLS.values(), *FUNCTION_NAMES]
    words += [word for topic in TOPICS for word in (*topic.verbs, *topic.objects, topic.tool)]
    words += [value for values in ATTRIBUTES.values() for value in values]
    numbers = [str(number) for number in range(2 * MOST + 1)]
    yield from (f"a {word}" for word in words + numbers)
    yield from numbers
    yield from text.HOW_TO + text.UNSEEN_HOW_TO + text.IS_IT_OK + text.REFUSALS
    yield from text.UNKNOWABLE + text.UNKNOWABLE_REFUSALS
    rng = random.Random("vocabulary")  # noqa: S311
    world = make_world(0)
    for draw in _draws(world, UTILITY, rng).values():
        for _ in range(20):
            yield from map(str, draw().values())
    for attribute, questions in text.FACT_QUESTIONS.items():
        yield from (*questions, text.fact(attribute, "otter", "red", rng)["response"])
    for sketch in world.seen_programs[:400]:
        task = text.program("solve", sketch)
        yield from (task.prompt, task.body)  # its tests are run, never read by a model
