"""Rules on the form of a recipe: its keys, its method and its models. One rule, one function."""

from __future__ import annotations

import importlib.resources
import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, Union, get_args, get_origin

import pydantic
from mergekit._data import chat_templates
from mergekit.config import MergeConfiguration
from mergekit.merge_methods import registry
from mergekit.merge_methods.base import BasePolicy

from sst_mergekit.errors import closest
from sst_mergekit.recipe.fault import Fault
from sst_mergekit.recipe.parse import Recipe, reference
from sst_mergekit.recipe.settings import shown

DTYPES = ("bfloat16", "float16", "float32", "float64")


def known_keys(recipe: Recipe) -> Iterator[Fault]:
    """Yield keys that mergekit would ignore, at any depth but a method's parameters."""
    yield from _unknown("", recipe.raw, MergeConfiguration)


def _unknown(key: str, value: Any, annotation: Any) -> Iterator[Fault]:
    """Yield the keys of ``value`` that no pydantic model of ``annotation`` has."""
    options = _options(annotation)
    if isinstance(value, list):
        for option in (o for o in options if get_origin(o) is list):
            for index, item in enumerate(value):
                yield from _unknown(f"{key}[{index}]", item, get_args(option)[0])
    if not isinstance(value, Mapping):
        return
    fields = {}
    for option in options:
        if get_origin(option) is dict:
            for name, item in value.items():
                yield from _unknown(f"{key}.{name}", item, get_args(option)[1])
            return
        if inspect.isclass(option) and issubclass(option, pydantic.BaseModel):
            fields |= option.model_fields
    for name, item in value.items() if fields else ():
        where = f"{key}.{name}".lstrip(".")
        if name in fields:
            yield from _unknown(where, item, fields[name].annotation)
        else:
            yield Fault(where, f"unknown key, mergekit would ignore it{closest(str(name), fields)}")


def _options(annotation: Any) -> list[Any]:
    """Return the members of a union, unions within it unfolded; else the annotation itself."""
    if get_origin(annotation) is not Union:
        return [annotation]
    return [option for member in get_args(annotation) for option in _options(member)]


def valid_values(recipe: Recipe) -> Iterator[Fault]:
    """Yield values of a wrong type, as mergekit's configuration sees them; parameters have own rules."""
    try:
        MergeConfiguration.model_validate(recipe.raw)
    except RuntimeError:
        return  # mergekit's own validators: the rules below say the same with a key
    except pydantic.ValidationError as error:
        found: dict[str, list[str]] = {}
        for item in error.errors():
            where, value = _written(recipe.raw, item["loc"])
            if "parameters" in item["loc"][:-1] or where == "merge_method":
                continue  # these have rules of their own
            missing = item["type"] == "missing"
            said = found.setdefault(where, ["missing" if missing else f"got {shown(value)}, expected"])
            if not missing:
                said.append(_expected(item["msg"]))
        for where, (start, *expected) in found.items():
            yield Fault(where, f"{start} {' or '.join(dict.fromkeys(expected))}".strip())


def _expected(message: str) -> str:
    """Return what pydantic expects, in the words of a recipe.

    >>> _expected("Input should be a valid dictionary or instance of ModelReference")
    'a model'
    """
    message = message.removeprefix("Input should be ").replace("a valid integer", "a whole number")
    message = message.replace("a valid ", "a ")
    message = re.sub("^a dictionary or instance of Model(Reference|Path)$", "a model", message)
    return re.sub("^a dictionary( or instance of .*)?$", "a mapping", message)


def _written(raw: Any, location: tuple[int | str, ...]) -> tuple[str, Any]:
    """Return the key and value of the deepest part of a pydantic location that the recipe really has."""
    key, value = "", raw
    for position, part in enumerate(location):
        if isinstance(value, list) and isinstance(part, int) and part < len(value):
            key, value = f"{key}[{part}]", value[part]
        elif isinstance(value, Mapping) and part in value:
            key, value = f"{key}.{part}", value[part]
        elif isinstance(value, Mapping) and position == len(location) - 1:
            return f"{key}.{part}".lstrip("."), None
        else:
            break
    return key.lstrip("."), value


def one_layout(recipe: Recipe) -> Iterator[Fault]:
    """Yield a recipe without exactly one of models, slices and modules, or with two tokenizer keys."""
    found = [name for name in ("models", "slices", "modules") if recipe.raw.get(name)]
    if len(found) != 1:
        got = " and ".join(found) or "none of them"
        yield Fault("models", f"got {got}, expected exactly one of models, slices, modules; use models:")
    modules = recipe.raw.get("modules")
    for name, module in modules.items() if isinstance(modules, Mapping) else ():
        if isinstance(module, Mapping) and bool(module.get("models")) == bool(module.get("slices")):
            yield Fault(f"modules.{name}", "expected exactly one of models and slices in it")
    if recipe.raw.get("tokenizer") and recipe.raw.get("tokenizer_source"):
        yield Fault("tokenizer_source", "contradicts tokenizer; keep one of the two")


def known_method(recipe: Recipe) -> Iterator[Fault]:
    """Yield a merge method that is missing or not registered."""
    name = recipe.raw.get("merge_method")
    names = [method.spec.name for method in registry.registered_methods()]
    if name is None:
        yield Fault("merge_method", f"missing; choose one of {', '.join(sorted(names))}")
    elif recipe.method is None:
        yield Fault("merge_method", f"got {shown(name)}, no such method{closest(str(name), names)}")


def readable_models(recipe: Recipe) -> Iterator[Fault]:
    """Yield model references that mergekit cannot parse (they hold more than one ``+`` or ``@``)."""
    written = {"base_model": recipe.raw.get("base_model")}
    models = recipe.raw.get("models")
    for index, item in enumerate(models if isinstance(models, list) else ()):
        if isinstance(item, Mapping):
            written[f"models[{index}].model"] = item.get("model")
    for key, value in written.items():
        if isinstance(value, str) and value and reference(value) is None:
            yield Fault(
                key, f"got '{value}', expected model[@revision] or model[@revision]+adapter[@revision]"
            )


def base_model(recipe: Recipe) -> Iterator[Fault]:
    """Yield a base model that the method needs and the recipe lacks, or that it cannot take."""
    if recipe.method is None:
        return
    spec = recipe.method.spec
    bases = [group.base for group in recipe.groups] or [recipe.base]
    if spec.contract.base is BasePolicy.REQUIRED and not all(bases) and not recipe.raw.get("base_model"):
        yield Fault("base_model", f"missing; method {spec.name} needs the model all experts were made from")
    if spec.contract.base is BasePolicy.FORBIDDEN and any(bases):
        yield Fault("base_model", f"method {spec.name} takes none; remove it")


def distinct_models(recipe: Recipe) -> Iterator[Fault]:
    """Yield a model listed twice in one group."""
    for group in recipe.groups:
        first: dict[Any, str] = {}
        for item in group.inputs:
            if first.setdefault(item.reference, item.key) != item.key:
                again = first[item.reference]
                yield Fault(f"{item.key}.model", f"'{item.reference}' is {again} too; list each model once")


def number_of_models(recipe: Recipe) -> Iterator[Fault]:
    """Yield groups with fewer or more models than the method takes."""
    if recipe.method is None:
        return
    contract = recipe.method.spec.contract
    for group in recipe.groups:
        if contract.base is BasePolicy.REQUIRED and group.base is None:
            continue  # said by base_model
        if contract.base is BasePolicy.FORBIDDEN and group.base is not None:
            continue
        try:
            contract.validate_ids(group.all_inputs(), group.base)
        except ValueError as error:
            said = str(error).removeprefix("Merge method ")
            base = "" if "non-base" in said or group.base is None else " (the base model included)"
            yield Fault(group.key, f"method {recipe.method.spec.name} {said}{base}")


def known_dtypes(recipe: Recipe) -> Iterator[Fault]:
    """Yield dtypes that mergekit finds unusable only when it reads or writes the first tensor."""
    for key in ("dtype", "out_dtype"):
        name = recipe.raw.get(key)
        if isinstance(name, str) and name and name.removeprefix("torch.") not in DTYPES:
            yield Fault(key, f"got '{name}'{closest(name, DTYPES)}; allowed: {', '.join(DTYPES)}")


def chat_template(recipe: Recipe) -> Iterator[Fault]:
    """Yield a chat template that mergekit refuses only after all weights are written."""
    name = recipe.raw.get("chat_template")
    if not isinstance(name, str) or not name or name == "auto" or "{" in name:
        return
    files = importlib.resources.files(chat_templates).iterdir()
    names = ["auto", *(file.name.removesuffix(".jinja") for file in files if file.name.endswith(".jinja"))]
    if name not in names:
        yield Fault("chat_template", f"got '{name}'{closest(name, names)}, expected a known name or Jinja")


RULES = (
    known_keys,
    valid_values,
    one_layout,
    known_method,
    readable_models,
    base_model,
    distinct_models,
    number_of_models,
    known_dtypes,
    chat_template,
)
