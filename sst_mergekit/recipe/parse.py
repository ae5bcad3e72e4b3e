"""From a recipe file to its groups of inputs; the mapping as written stays, so that keys can be named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mergekit.common import ModelReference
from mergekit.merge_methods import registry
from mergekit.merge_methods.base import MergeMethod

import sst_mergekit
from sst_mergekit.recipe.reading import read_yaml

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Input:
    """One model that goes into a merge: its key in the recipe, the model, its own parameters."""

    key: str
    reference: ModelReference
    parameters: Settings


@dataclass(frozen=True)
class Group:
    """Inputs that are merged together: all of ``models:``, or one output slice.

    Attributes:
        key: of the list of inputs.
        inputs: in the recipe's order.
        base: the base model, listed among the inputs or not.
        shared: (key, settings) of the parameters above the inputs, the nearest first.
    """

    key: str
    inputs: tuple[Input, ...]
    base: ModelReference | None
    shared: tuple[tuple[str, Settings], ...]

    def all_inputs(self) -> list[ModelReference]:
        """Return what mergekit merges, without repetition: it adds the base model if it is not listed."""
        listed = [item.reference for item in self.inputs] + ([self.base] if self.base else [])
        return list(dict.fromkeys(listed))


@dataclass(frozen=True)
class Recipe:
    """A recipe as written, the method it names (None: unknown), and how it will be merged."""

    path: Path
    raw: Mapping[str, Any]
    method: MergeMethod | None
    base: ModelReference | None
    groups: tuple[Group, ...]
    lora_merge_cache: Path | None = None
    lora_merge_dtype: str | None = None

    @property
    def inputs(self) -> list[Input]:
        """All inputs of all groups."""
        return [item for group in self.groups for item in group.inputs]

    def references(self) -> dict[ModelReference, str]:
        """Return every model of the recipe with the first key that names it."""
        named = {self.base: "base_model"} if self.base else {}
        for item in self.inputs:
            named.setdefault(item.reference, f"{item.key}.model")
        return named


def load_recipe(
    path: Path | str, lora_merge_cache: Path | None = None, lora_merge_dtype: str | None = None
) -> Recipe:
    """Return the recipe of a YAML file, read as far as it can be; :func:`check_recipe` judges it.

    Raises:
        RecipeError: the file is missing, no YAML, or no mapping, or it writes a key twice.
    """
    sst_mergekit.register()
    path = Path(path)
    raw = read_yaml(path)
    methods = {method.spec.name: method for method in registry.registered_methods()}
    method = methods.get(str(raw.get("merge_method")))
    base = reference(raw.get("base_model"))
    return Recipe(path, raw, method, base, tuple(_groups(raw, base)), lora_merge_cache, lora_merge_dtype)


def reference(value: Any) -> ModelReference | None:
    """Return the model that a value names, or None if it names none."""
    if not value or not isinstance(value, str | Mapping):
        return None
    try:
        found = ModelReference.model_validate(value)
    except (ValueError, RuntimeError):  # pydantic's, and mergekit's own from its validators
        return None
    paths = [found.model, *([found.lora] if found.lora else [])]
    return found if all(path.path for path in paths) else None


def _groups(raw: Mapping[str, Any], base: ModelReference | None) -> Iterator[Group]:
    shared = _settings("parameters", raw.get("parameters"))
    yield from _layout("", raw, base, shared)
    for name, module in _mapping(raw.get("modules")).items():
        key, module = f"modules.{name}", _mapping(module)
        own = _settings(f"{key}.parameters", module.get("parameters"))
        yield from _layout(f"{key}.", module, base, own + shared)


def _layout(
    prefix: str, raw: Mapping[str, Any], base: ModelReference | None, shared: tuple[tuple[str, Settings], ...]
) -> Iterator[Group]:
    """Yield the groups of ``models:`` and ``slices:`` in the recipe or in one of its modules."""
    if raw.get("models"):
        yield Group(f"{prefix}models", _inputs(f"{prefix}models", raw["models"]), base, shared)
    for index, item in enumerate(_list(raw.get("slices"))):
        key, item = f"{prefix}slices[{index}]", _mapping(item)
        own = _settings(f"{key}.parameters", item.get("parameters"))
        own_base = reference(item.get("base_model")) or base
        yield Group(f"{key}.sources", _inputs(f"{key}.sources", item.get("sources")), own_base, own + shared)


def _inputs(key: str, items: Any) -> tuple[Input, ...]:
    found = []
    for index, item in enumerate(_list(items)):
        model = reference(_mapping(item).get("model"))
        if model:
            found.append(Input(f"{key}[{index}]", model, _mapping(item.get("parameters"))))
    return tuple(found)


def _settings(key: str, value: Any) -> tuple[tuple[str, Settings], ...]:
    return ((key, value),) if isinstance(value, Mapping) else ()


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
