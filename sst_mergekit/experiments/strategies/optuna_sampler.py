"""Optuna's samplers as a function of what was tried before: Optuna itself keeps nothing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sst_mergekit.errors import SstError
from sst_mergekit.experiments.strategies.space import Parameter
from sst_mergekit.experiments.strategies.strategy import Settings

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from sst_mergekit.experiments.strategies.sampled import Asked

POPULATION = 12  # of NSGA-II: Optuna's 50 would be a random search in sweeps of this size


def suggestions(
    sampler: str, space: Sequence[Parameter], asked: Asked, seed: int, count: int
) -> Iterator[Settings]:
    """Yield up to `count` settings for the next trial, each after the one before was refused.

    Args:
        sampler: ``tpe`` (multi-objective TPE, Ozaki et al. 2022) or ``nsga2`` (NSGA-II, Deb et al. 2002).
        space: what may be chosen.
        asked: the trials before; those outside of the space are left out.
        seed: of this trial.
        count: how many at most.

    Raises:
        SstError: Optuna is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise SstError(
            f"--sampler {sampler}: needs Optuna; pip install 'sst-mergekit[optuna]', or take grid or random"
        ) from None
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", module="optuna")
    study = _study(sampler, seed)
    distributions = {parameter.name: _distribution(parameter) for parameter in space}
    names = {parameter.name: parameter for parameter in space}
    for number, (settings, scores) in enumerate(pair for pair in asked if _within(names, pair[0])):
        study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.RUNNING if scores is None else TrialState.COMPLETE,
                params={name: _coded(names[name], value) for name, value in settings.items()},
                distributions=distributions,
                values=None if scores is None else list(scores),
                system_attrs=_generation(sampler, number),
            )
        )
    for _ in range(count):
        trial = study.ask(distributions)
        settings = {name: _decoded(names[name], value) for name, value in trial.params.items()}
        yield {parameter.name: settings[parameter.name] for parameter in space}
        study.tell(trial, state=TrialState.FAIL)


def _study(sampler: str, seed: int) -> Any:
    import optuna

    chosen: Any = (
        optuna.samplers.TPESampler(seed=seed)
        if sampler == "tpe"
        else optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed)
    )
    return optuna.create_study(directions=["maximize", "maximize"], sampler=chosen)


def _generation(sampler: str, number: int) -> dict[str, int]:
    """Return what NSGA-II notes of a trial, under the name that this Optuna gives it: its generation."""
    if sampler == "tpe":
        return {}
    first = _study(sampler, 0)
    first.ask({"any": _distribution(Parameter("any", (), 0.0, 1.0))})
    return dict.fromkeys(first.get_trials(deepcopy=False)[0].system_attrs, number // POPULATION)


def _within(space: dict[str, Parameter], settings: Settings) -> bool:
    return settings.keys() == space.keys() and all(_holds(space[n], v) for n, v in settings.items())


def _distribution(parameter: Parameter) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not parameter.values:
        return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
    if _ordered(parameter):
        return IntDistribution(0, len(parameter.values) - 1)
    return CategoricalDistribution(parameter.values)


def _coded(parameter: Parameter, value: Any) -> Any:
    return parameter.values.index(value) if _ordered(parameter) else value


def _decoded(parameter: Parameter, value: Any) -> Any:
    if not parameter.values:
        return parameter.rounded(value)
    return parameter.values[value] if _ordered(parameter) else value


def _ordered(parameter: Parameter) -> bool:
    """Return whether the values are numbers, which have an order: Optuna gets their positions."""
    return bool(parameter.values) and all(isinstance(value, float) for value in parameter.values)


def _holds(parameter: Parameter, value: Any) -> bool:
    """Return whether a value of another start of the sweep is one of this start's."""
    if parameter.values:
        return value in parameter.values
    return isinstance(value, float) and parameter.low <= value <= parameter.high
