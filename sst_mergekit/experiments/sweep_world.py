"""The methods of the embedded tiny world as subjects of a sweep, on the units of the experiments."""

from __future__ import annotations

from collections.abc import Sequence

from sst_mergekit.errors import SstError
from sst_mergekit.experiments.methods import EVERY, Method
from sst_mergekit.experiments.names import methods
from sst_mergekit.experiments.strategies.space import Parameter
from sst_mergekit.experiments.strategies.strategy import Settings
from sst_mergekit.experiments.sweep import Subject, shared_out
from sst_mergekit.experiments.trials import trial
from sst_mergekit.jobs.unit import Unit
from sst_mergekit.testbeds.model import SYMBOLIC
from sst_mergekit.testbeds.options import ModelOptions
from sst_mergekit.testbeds.tiny import sizes as tiny
from sst_mergekit.testbeds.tiny.testbed import TinyWorld

COUNT = 8  # strengths of a grid, where the command names none


def world_methods(
    model: ModelOptions,
    mode: str,
    names: Sequence[str],
    seed: int,
    parameters: Sequence[Parameter],
    grid: bool,
) -> list[Subject]:
    """Return each method as a subject, scored on the development split of one seed.

    A parameter that the command does not name has the values of the demo.

    Args:
        model: the tiny world, as the configuration has it.
        mode: its size.
        names: of the methods.
        seed: of the world.
        parameters: of the command.
        grid: whether strengths are to be listed.

    Raises:
        SstError: an unknown method, or a parameter that none of them has.
    """
    chosen = [_method(name) for name in methods(names, "--methods")]
    world = tiny.worlds(model, mode, range(seed, seed + 1))[0]
    given = shared_out(parameters, [(method.name, _takes(method)) for method in chosen])
    return [
        _subject(world, method, _space(method, own, grid)) for method, own in zip(chosen, given, strict=True)
    ]


def _method(name: str) -> Method:
    found = next((method for method in EVERY if method.name == name), None)
    if found is None:
        raise SstError(f"--methods: {name} is not a merge; leave it out")
    return found


def _takes(method: Method) -> frozenset[str]:
    """Return the names of a method's parameters: those of the demo, and all of SST's."""
    second = {method.second[0]: method.second[1][0]} if method.second else {}
    recipe = method.recipe(SYMBOLIC, {"strength": 1.0, **second})
    names = {"strength", *second}
    if recipe["merge_method"] == "sst":
        from sst_mergekit.plugin.method import sst

        names |= {parameter.name for parameter in sst.spec.shared_parameters}  # type: ignore[attr-defined]
    return frozenset(names)


def _space(method: Method, given: tuple[Parameter, ...], grid: bool) -> tuple[Parameter, ...]:
    low, high = method.strength / 4, min(2 * method.strength, method.most)
    steps = tuple(round(low + (high - low) * i / (COUNT - 1), 4) for i in range(COUNT)) if grid else ()
    known = [Parameter("strength", steps, low, high)]
    if method.second:
        known.append(Parameter(method.second[0], method.second[1]))
    named = {parameter.name for parameter in given}
    return (*(parameter for parameter in known if parameter.name not in named), *given)


def _subject(world: TinyWorld, method: Method, space: tuple[Parameter, ...]) -> Subject:
    def unit(settings: Settings) -> Unit:
        return world.score(trial(world, method.name, settings).model, "dev")

    return Subject(f"{method.name}, seed {world.seed}", space, unit)
