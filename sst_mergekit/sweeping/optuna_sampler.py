"""Optuna's samplers as a function of what was asked before: Optuna keeps nothing, the ledger does."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sst_mergekit.errors import SstError
from sst_mergekit.sweeping.sampling import Asked
from sst_mergekit.sweeping.space import Parameter

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

POPULATION = 12  # of NSGA-II: Optuna's 50 would be a random search in sweeps of this size


def suggestions(
    sampler: str, space: Sequence[Parameter], asked: Sequence[Asked], seed: int, count: int
) -> Iterator[Asked]:
    """Yield up to `count` settings for the next trial, each after the one before was refused.

    Args:
        sampler: ``tpe`` (multi-objective TPE, Ozaki et al. 2022) or ``nsga2`` (NSGA-II, Deb et al. 2002).
        space: what may be chosen.
        asked: the trials before.
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
    chosen: Any = (
        optuna.samplers.TPESampler(seed=seed)
        if sampler == "tpe"
        else optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed)
    )
    study = optuna.create_study(directions=["maximize", "maximize"], sampler=chosen)
    distributions = {parameter.name: _distribution(parameter) for parameter in space}
    names = {parameter.name: parameter for parameter in space}
    for one in asked:
        if one.settings.keys() == names.keys() and all(_holds(names[n], v) for n, v in one.settings.items()):
            study.add_trial(
                optuna.trial.create_trial(
                    state=TrialState.RUNNING if one.scores is None else TrialState.COMPLETE,
                    params={name: _coded(names[name], value) for name, value in one.settings.items()},
                    distributions=distributions,
                    values=None if one.scores is None else list(one.scores),
                    system_attrs=dict(one.notes),
                )
            )
    for _ in range(count):
        trial = study.ask(distributions)
        settings = {name: _decoded(names[name], value) for name, value in trial.params.items()}
        notes = dict(study.get_trials(deepcopy=False)[-1].system_attrs)
        yield Asked({parameter.name: settings[parameter.name] for parameter in space}, None, notes)
        study.tell(trial, state=TrialState.FAIL)


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
