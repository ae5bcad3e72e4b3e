"""What ``--param`` may say, and which settings the samplers ask for."""

from __future__ import annotations

import random

import pytest

from sst_mergekit.errors import SstError
from sst_mergekit.metrics.tradeoff import hypervolume
from sst_mergekit.sweeping.sampling import SAMPLERS, Asked, propose
from sst_mergekit.sweeping.space import canonical, corners, grid, parse, parse_all, size


def test_every_form() -> None:
    words, numbers, even, ratios, free, free_log = parse_all(
        [
            "filter=soft,hard",
            "cost=0.03, 0.3",
            "strength=0.2:1.8:5",
            "damping=0.01:1:3:log",
            "a=0:1",
            "b=1:9:log",
        ]
    )
    assert words.values == ("soft", "hard")
    assert numbers.values == (0.03, 0.3)
    assert even.values == (0.2, 0.6, 1.0, 1.4, 1.8)
    assert ratios.values == (0.01, 0.1, 1.0)
    assert (free.values, free.low, free.high, free.log) == ((), 0.0, 1.0, False)
    assert (free_log.low, free_log.high, free_log.log) == (1.0, 9.0, True)
    assert corners([words, even, free]) == [
        {"filter": "soft", "strength": 0.2, "a": 0.0},
        {"filter": "hard", "strength": 1.8, "a": 1.0},
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("strength", "--param strength: expected NAME=A,B,C or NAME=LOW:HIGH"),
        ("=1,2", "expected NAME="),
        ("a=", "expected NAME="),
        ("a=1,,2", "a value is empty or there twice"),
        ("a=1,1.0", "a value is empty or there twice"),
        ("a=1:x", "expected NAME="),
        ("a=1:2:3:4", "expected NAME="),
        ("a=nan:2", "expected NAME="),
        ("a=2:1", "expected LOW < HIGH"),
        ("a=0:1:log", "expected 0 < LOW < HIGH"),
        ("a=0:1:1", "expected a COUNT of at least 2, a whole number"),
        ("a=0:1:2.5", "expected a COUNT of at least 2, a whole number"),
    ],
)
def test_every_fault_says_what_was_expected(text: str, line: str) -> None:
    with pytest.raises(SstError, match="--param") as error:
        parse(text)
    assert line in str(error.value)


def test_a_name_twice_is_refused() -> None:
    with pytest.raises(SstError, match="--param a: is there twice"):
        parse_all(["a=1,2", "a=3,4"])


def test_a_grid_holds_every_combination_once() -> None:
    space = parse_all(["a=1,2", "b=x,y,z"])
    settings = [canonical(one) for one in grid(space)]
    assert len(settings) == len(set(settings)) == size(space) == 6
    assert list(grid(space))[1] == {"a": 1.0, "b": "y"}
    with pytest.raises(SstError, match=r"--param c=0:1: a grid needs a COUNT \(c=0:1:5\)"):
        grid(parse_all(["c=0:1"]))


SMALL = ["strength=0.5:1.5:4", "filter=soft,separable"]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_small_space_is_asked_whole_and_nothing_twice(sampler: str) -> None:
    space, asked = parse_all(SMALL), []
    while (found := propose(sampler, space, asked, seed=3)) is not None:
        asked.append(Asked(found.settings, (random.random(), 0.5), found.notes))
    assert len(asked) == len({canonical(one.settings) for one in asked}) == 8


def scores(settings: dict) -> tuple[float, float]:
    """Safety rises and utility falls with strength; at cost 0.1 both are best."""
    loss = abs(settings["cost"] - 0.1)
    return settings["strength"] * (1 - loss), (1 - settings["strength"] ** 2) * (1 - loss)


def searched(sampler: str, seed: int, count: int) -> list[Asked]:
    space, asked = parse_all(["strength=0:1", "cost=0.001:1:log"]), []
    for _ in range(count):
        found = propose(sampler, space, asked, seed)
        assert found is not None
        asked.append(Asked(found.settings, scores(found.settings), found.notes))
    return asked


@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2"])
def test_the_same_seed_and_past_give_the_same_next(sampler: str) -> None:
    once, again, other = (searched(sampler, seed, 6) for seed in (1, 1, 2))
    assert [one.settings for one in once] == [one.settings for one in again]
    assert once[0].settings != other[0].settings
    for one in once:
        assert 0 <= one.settings["strength"] <= 1
        assert 0.001 <= one.settings["cost"] <= 1


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_optuna_learns_from_what_was_scored(sampler: str) -> None:
    """With only the past given at each step, the later half is better than the first, which is random."""
    gains = []
    for seed in range(3):
        asked = searched(sampler, seed, 48)
        halves = [[one.scores for one in part if one.scores] for part in (asked[:12], asked[36:])]
        gains.append(hypervolume(halves[1]) - hypervolume(halves[0]))
    assert sum(gains) > 0.05


def test_nsga2_counts_generations() -> None:
    generations = [value for one in searched("nsga2", 0, 30) for value in one.notes.values()]
    assert sorted(set(generations)) == [0, 1, 2]


def test_what_is_being_scored_is_not_asked_again() -> None:
    space = parse_all(["a=1,2"])
    for sampler in SAMPLERS:
        first = propose(sampler, space, [], seed=0)
        assert first is not None
        second = propose(sampler, space, [first], seed=0)
        assert second is not None
        assert second.settings != first.settings
        assert propose(sampler, space, [first, second], seed=0) is None
