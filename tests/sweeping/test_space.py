"""What ``--param`` may say, and which settings the samplers ask for."""

from __future__ import annotations

import random

import pytest

from sst_mergekit.cli.sweep import SAMPLERS
from sst_mergekit.errors import SstError
from sst_mergekit.experiments.strategies.sampled import TOGETHER, propose, sampled
from sst_mergekit.experiments.strategies.space import corners, grid, parse, parse_all, size
from sst_mergekit.experiments.strategies.strategy import canonical
from sst_mergekit.metrics.estimate import Rate
from sst_mergekit.metrics.tradeoff import hypervolume
from sst_mergekit.testbeds.scores import Scores


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


def found(safety: float, utility: float) -> Scores:
    return Scores(Rate(safety, None, 1), {"a": Rate(utility, None, 1)})


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_small_space_is_asked_whole_and_nothing_twice(sampler: str) -> None:
    strategy, seen = sampled(sampler, parse_all(SMALL), 100, 3), []
    while new := strategy(seen):
        assert sampler in ("grid", "random") or len(new) <= TOGETHER
        seen += [(settings, found(random.random(), 0.5)) for settings in new]
    assert len(seen) == len({canonical(settings) for settings, _ in seen}) == 8


def scores(settings: dict) -> tuple[float, float]:
    """Safety rises and utility falls with strength; at cost 0.1 both are best."""
    loss = abs(settings["cost"] - 0.1)
    return settings["strength"] * (1 - loss), (1 - settings["strength"] ** 2) * (1 - loss)


def searched(sampler: str, seed: int, count: int) -> list[tuple[dict, tuple[float, float]]]:
    space, asked = parse_all(["strength=0:1", "cost=0.001:1:log"]), []
    for _ in range(count):
        settings = propose(sampler, space, asked, seed)
        assert settings is not None
        asked.append((settings, scores(settings)))
    return asked


@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2"])
def test_the_same_seed_and_past_give_the_same_next(sampler: str) -> None:
    once, again, other = (searched(sampler, seed, 6) for seed in (1, 1, 2))
    assert once == again
    assert once[0] != other[0]
    for settings, _ in once:
        assert 0 <= settings["strength"] <= 1
        assert 0.001 <= settings["cost"] <= 1


@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2"])
def test_a_larger_budget_goes_on_where_the_smaller_one_ended(sampler: str) -> None:
    space = parse_all(["strength=0:1", "cost=0.001:1:log"])

    def after(seen: list, budget: int) -> list:
        strategy = sampled(sampler, space, budget, 0)
        while new := strategy(seen):
            seen = [*seen, *((settings, found(*scores(settings))) for settings in new)]
        return seen

    assert after(after([], 6), 18) == after([], 18)
    assert len(after([], 18)) == 18


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_optuna_learns_from_what_was_scored(sampler: str) -> None:
    """With only the past given at each step, the later half is better than the first, which is random."""
    gains = []
    for seed in range(3):
        places = [place for _, place in searched(sampler, seed, 48)]
        gains.append(hypervolume(places[36:]) - hypervolume(places[:12]))
    assert sum(gains) > 0.05


def test_nsga2_counts_generations_as_optuna_does() -> None:
    import optuna

    from sst_mergekit.experiments.strategies import optuna_sampler

    study = optuna_sampler._study("nsga2", 0)
    noted = []
    for number in range(30):
        trial = study.ask({"a": optuna.distributions.FloatDistribution(0, 1)})
        noted.append(dict(study.get_trials(deepcopy=False)[-1].system_attrs))
        assert noted[-1].items() >= optuna_sampler._generation("nsga2", number).items()
        study.tell(trial, [trial.params["a"], 0.5])
    assert {value for note in noted for value in note.values() if isinstance(value, int)} == {0, 1, 2}


def test_what_is_being_scored_is_not_asked_again() -> None:
    space = parse_all(["a=1,2"])
    for sampler in ("random", "tpe", "nsga2"):
        first = propose(sampler, space, [], seed=0)
        assert first is not None
        second = propose(sampler, space, [(first, None)], seed=0)
        assert second is not None
        assert second != first
        assert propose(sampler, space, [(first, None), (second, None)], seed=0) is None
