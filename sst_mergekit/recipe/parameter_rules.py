"""Rules on a method's parameters: names, places and values, from the method's own specification."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pydantic
from mergekit.merge_methods.base import ParameterScope, ParameterSpec

from sst_mergekit.errors import closest
from sst_mergekit.recipe.checkpoint import local_headers
from sst_mergekit.recipe.fault import Fault
from sst_mergekit.recipe.parse import Group, Input, Recipe, Settings
from sst_mergekit.recipe.settings import Leaf, leaves, malformed, shown


@dataclass(frozen=True)
class Site:
    """A ``parameters:`` mapping, and the input it belongs to (None: it is shared)."""

    key: str
    settings: Settings
    input: Input | None
    is_base: bool = False

    def items(self) -> Iterator[tuple[str, str, Any]]:
        """Yield (key in the recipe, name, setting)."""
        for name, setting in self.settings.items():
            yield f"{self.key}.{name}", str(name), setting


def sites(recipe: Recipe) -> list[Site]:
    """Return every ``parameters:`` mapping of the recipe, the shared ones first."""
    shared = dict(pair for group in recipe.groups for pair in group.shared)
    found = [Site(key, settings, None) for key, settings in shared.items()]
    for group in recipe.groups:
        for item in group.inputs:
            found.append(Site(f"{item.key}.parameters", item.parameters, item, item.reference == group.base))
    return found


def _specs(recipe: Recipe) -> dict[str, ParameterSpec]:
    return {spec.name: spec for spec in recipe.method.spec.parameters} if recipe.method else {}


def known_parameters(recipe: Recipe) -> Iterator[Fault]:
    """Yield parameters that the method does not have: mergekit would ignore them."""
    if recipe.method is None:
        return
    specs = _specs(recipe)
    for site in sites(recipe):
        for key, name, _ in site.items():
            if name not in specs:
                hint = closest(name, specs) if specs else "; it has none"
                yield Fault(key, f"unknown parameter of {recipe.method.spec.name}, would be ignored{hint}")


def right_place(recipe: Recipe) -> Iterator[Fault]:
    """Yield parameters where mergekit never looks for them: shared ones at a model, any at the base model."""
    specs = _specs(recipe)
    for site in sites(recipe):
        for key, name, _ in site.items():
            if site.input is None or name not in specs:
                continue
            if specs[name].scope is ParameterScope.SHARED:
                yield Fault(key, "is the same for all models; move it to the recipe's own 'parameters'")
            elif specs[name].scope is ParameterScope.NON_BASE and site.is_base:
                yield Fault(key, f"{site.input.key} is the base model, which takes no '{name}'; remove it")


def well_formed(recipe: Recipe) -> Iterator[Fault]:
    """Yield settings that are neither a value, a gradient nor conditionals."""
    for site in sites(recipe):
        for key, _, setting in site.items():
            yield from malformed(key, setting)


def valid_parameters(recipe: Recipe) -> Iterator[Fault]:
    """Yield values that the method's validator refuses, in filters and gradients too."""
    specs = _specs(recipe)
    for site in sites(recipe):
        for key, name, setting in site.items():
            for leaf in leaves(key, setting) if name in specs else ():
                yield from _invalid(leaf, specs[name])


def _invalid(leaf: Leaf, spec: ParameterSpec) -> Iterator[Fault]:
    try:
        value = spec.validate(leaf.value)
    except (pydantic.ValidationError, ValueError) as error:
        yield Fault(leaf.key, _reason(spec.name, leaf.value, error))
        return
    if isinstance(leaf.value, bool) and not isinstance(value, bool):
        yield Fault(
            leaf.key, f"got {shown(leaf.value)}, expected a number; write it without yes, no, true, false"
        )
    elif leaf.gradient and isinstance(value, int) and not isinstance(value, bool):
        yield Fault(leaf.key, "a gradient passes through fractions, expected whole numbers; write one value")


def _reason(name: str, value: Any, error: Exception) -> str:
    """Return what a validator says, without pydantic's wrapping."""
    if not isinstance(error, pydantic.ValidationError):
        return str(error)
    first = error.errors()[0]
    own = first.get("ctx", {}).get("error")  # a ValueError of the method's validator
    if own is not None:
        return str(own).removeprefix(f"{name}: ")
    return f"got {shown(value)}, {first['msg'].replace('Input should be', 'expected')}"


def required_parameters(recipe: Recipe) -> Iterator[Fault]:
    """Yield required parameters that some model, or some tensor of it, has no value for."""
    method = recipe.method
    for spec in method.spec.parameters if method else ():
        for group in recipe.groups if spec.required else ():
            if spec.scope is ParameterScope.SHARED:
                yield from _missing(recipe, spec, group, None)
                continue
            for item in group.inputs:
                if spec.scope is ParameterScope.INPUT or item.reference != group.base:
                    yield from _missing(recipe, spec, group, item)
            if spec.scope is ParameterScope.INPUT and group.base not in [i.reference for i in group.inputs]:
                yield from _missing_at_base(spec, group)


def _missing(recipe: Recipe, spec: ParameterSpec, group: Group, item: Input | None) -> Iterator[Fault]:
    sources = [settings for _, settings in group.shared]
    key = f"parameters.{spec.name}"
    if item:
        sources.insert(0, item.parameters)
        key = f"{item.key}.{key}"
    settings = [source[spec.name] for source in sources if spec.name in source]
    if not settings:
        yield Fault(key, f"missing; method {recipe.method.spec.name} needs it")  # type: ignore[union-attr]
        return
    found = [leaf for setting in settings for leaf in leaves(key, setting)]
    if not found or any(leaf.filter is None for leaf in found):
        return
    names = local_headers(item.reference if item else group.base)
    bare = [name for name in names or () if not any(leaf.filter in name for leaf in found)]  # type: ignore[operator]
    if bare:
        yield Fault(key, f"no filter fits tensor {bare[0]}; add an item without a filter")


def _missing_at_base(spec: ParameterSpec, group: Group) -> Iterator[Fault]:
    if group.base and not any(spec.name in settings for _, settings in group.shared):
        yield Fault("base_model", f"is merged like a model and has no '{spec.name}'; remove it or list it")


def fitting_filters(recipe: Recipe) -> Iterator[Fault]:
    """Yield a warning for a filter that is part of no tensor's name, where the names can be read here."""
    models = [recipe.base, *(item.reference for item in recipe.inputs)]
    names = next(filter(None, map(local_headers, models)), None)
    for site in sites(recipe) if names else ():
        for key, _, setting in site.items():
            for leaf in leaves(key, setting):
                if leaf.filter and not any(leaf.filter in name for name in names or ()):
                    where = leaf.key.split(".value")[0] + ".filter"
                    yield Fault(where, f"'{leaf.filter}' is part of no tensor's name", warning=True)


RULES = (
    known_parameters,
    right_place,
    well_formed,
    valid_parameters,
    required_parameters,
    fitting_filters,
)
