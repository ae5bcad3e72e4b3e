"""Rules of merge_method sst on the recipe alone: form, roles, and parameters that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mergekit.merge_methods.base import ParameterScope

from sst_mergekit.recipe.checkpoint import directory_of, fingerprint
from sst_mergekit.recipe.fault import Fault
from sst_mergekit.recipe.parse import Input, Recipe
from sst_mergekit.recipe.settings import Leaf, leaves

METHOD = "sst"
UTILITY, SAFETY, EXPERT = "utility", "safety", "expert"


def experts(recipe: Recipe) -> list[Input]:
    """Return the models of ``models:`` that are not the base model."""
    if not recipe.raw.get("models"):
        return []
    return [item for item in recipe.inputs if item.reference != recipe.base]


def text(item: Input, name: str) -> str | None:
    """Return a model's own parameter if it is one plain string."""
    value = item.parameters.get(name)
    return value if isinstance(value, str) else None


def shared_values(recipe: Recipe, name: str) -> list[Leaf]:
    """Return all values the recipe gives a shared parameter, or the method's default."""
    settings = recipe.raw.get("parameters")
    if isinstance(settings, dict) and name in settings:
        return list(leaves(f"parameters.{name}", settings[name]))
    default: Any = next(spec.default for spec in recipe.method.spec.parameters if spec.name == name)  # type: ignore[union-attr]
    return [Leaf(f"parameters.{name}", default)]


def models_form(recipe: Recipe) -> Iterator[Fault]:
    """Yield ``slices:`` and ``modules:``: statistics belong to layers by name, which these re-order."""
    for key in ("slices", "modules"):
        if recipe.raw.get(key):
            yield Fault(
                key, "statistics are found by a tensor's name, so sst takes whole models; use models:"
            )


def own_parameters(recipe: Recipe) -> Iterator[Fault]:
    """Yield ``role`` and ``fisher`` among the shared parameters, where every model gets the same."""
    specs = recipe.method.spec.parameters if recipe.method else ()
    settings = recipe.raw.get("parameters")
    for spec in specs:
        if spec.scope is not ParameterScope.SHARED and isinstance(settings, dict) and spec.name in settings:
            yield Fault(
                f"parameters.{spec.name}", "here it is the same for every model; write it at each of models:"
            )


def one_value(recipe: Recipe) -> Iterator[Fault]:
    """Yield a role or statistics that change with the layer or the tensor."""
    for item in experts(recipe):
        for name in ("role", "fisher"):
            value = item.parameters.get(name)
            if isinstance(value, list | dict):
                key = f"{item.key}.parameters.{name}"
                yield Fault(key, "got several values, expected one for the whole model")


def gradients_of_names(recipe: Recipe) -> Iterator[Fault]:
    """Yield a list of names, which mergekit reads as a gradient over the layers."""
    for spec in recipe.method.spec.parameters if recipe.method else ():
        if spec.scope is not ParameterScope.SHARED:
            continue
        for leaf in shared_values(recipe, spec.name):
            if leaf.gradient and isinstance(spec.default, str):
                yield Fault(
                    leaf.key, "a list is a gradient over the layers, which only numbers have; write one"
                )


def roles(recipe: Recipe) -> Iterator[Fault]:
    """Yield anything but utility and safety experts, at least one each, or experts of equal standing."""
    found = [text(item, "role") for item in experts(recipe)]
    if not found or not set(found) <= {UTILITY, SAFETY, EXPERT} or set(found) == {EXPERT}:
        return  # a role that is missing or misspelt is said elsewhere
    if EXPERT in found:
        yield Fault("models", "role expert is for every model or for none; utility and safety go together")
    for role in (UTILITY, SAFETY) if EXPERT not in found else ():
        if role not in found:
            yield Fault("models", f"got no model of role {role}, expected at least one")


def statistics_named(recipe: Recipe) -> Iterator[Fault]:
    """Yield experts without statistics, which all filters but ``data_free`` need."""
    if all(leaf.value == "data_free" for leaf in shared_values(recipe, "filter")):
        return
    for item in experts(recipe):
        if item.parameters.get("fisher") in (None, "") and "fisher" not in (
            recipe.raw.get("parameters") or {}
        ):
            made = f"'sst-mergekit fisher --model {item.reference.model}"
            made += f" --adapter {item.reference.lora}" if item.reference.lora else ""
            yield Fault(
                f"{item.key}.parameters.fisher", f"missing; measure it with {made}' and name its --out"
            )


def experts_are_not_the_base(recipe: Recipe) -> Iterator[Fault]:
    """Yield experts that are the base model under another name or as a copy."""
    if recipe.base is None or recipe.base.lora:
        return
    base = directory_of(recipe.base.model)
    for item in experts(recipe):
        own = directory_of(item.reference.model)
        if item.reference.lora or base is None or own is None:
            continue
        hashes = fingerprint(own), fingerprint(base)
        if own.resolve() == base.resolve() or (hashes[0] and hashes[0] == hashes[1]):
            yield Fault(
                f"{item.key}.model", f"'{item.reference}' is base_model itself; list the expert instead"
            )


def strength_of_interpolation(recipe: Recipe) -> Iterator[Fault]:
    """Yield a strength over 1 where the patch is an interpolation."""
    if not any(leaf.value == "interpolate" for leaf in shared_values(recipe, "patch")):
        return
    for leaf in shared_values(recipe, "strength"):
        if isinstance(leaf.value, int | float) and leaf.value > 1:
            yield Fault(
                leaf.key,
                f"got {leaf.value:g}, expected 0 to 1 with 'patch: interpolate'; or use 'patch: add'",
            )


RULES = (
    models_form,
    own_parameters,
    one_value,
    gradients_of_names,
    roles,
    statistics_named,
    experts_are_not_the_base,
    strength_of_interpolation,
)
