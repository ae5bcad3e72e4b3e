"""The values of a parameter in a recipe: a scalar, a gradient, or conditionals with filters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sst_mergekit.recipe.fault import Fault

EXPECTED = "expected a value, a list of values (a gradient over layers), or {value, filter} mappings"


@dataclass(frozen=True)
class Leaf:
    """One value as written.

    Attributes:
        key: where it is, like ``parameters.cost[1].value``.
        value: a bool, number or string.
        filter: the part of a tensor's name it is for; None for every tensor.
        gradient: it is one of several points over the layers.
    """

    key: str
    value: bool | int | float | str
    filter: str | None = None
    gradient: bool = False


def is_scalar(value: Any) -> bool:
    """Return whether mergekit takes ``value`` as one value."""
    return isinstance(value, bool | int | float | str)


def is_list_of_scalars(value: Any) -> bool:
    """Return whether ``value`` is a gradient: a list of values that is not empty."""
    return isinstance(value, list) and bool(value) and all(map(is_scalar, value))


def conditionals(key: str, setting: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the (key, mapping) pairs of a setting written with ``value`` and ``filter``."""
    if isinstance(setting, Mapping):
        return [(key, setting)]
    if isinstance(setting, list) and setting and all(isinstance(item, Mapping) for item in setting):
        return [(f"{key}[{index}]", item) for index, item in enumerate(setting)]
    return []


def malformed(key: str, setting: Any) -> Iterator[Fault]:
    """Yield what mergekit cannot read, or reads and never uses."""
    items = conditionals(key, setting)
    if not items and not is_scalar(setting) and not is_list_of_scalars(setting):
        yield Fault(key, f"got {shown(setting)}, {EXPECTED}")
    catch_all = None
    for at, item in items:
        value, name = item.get("value"), item.get("filter")
        if not is_scalar(value) and not is_list_of_scalars(value):
            yield Fault(f"{at}.value", f"got {shown(value)}, expected a value or a list of values")
        if name is not None and not isinstance(name, str):
            yield Fault(f"{at}.filter", f"got {shown(name)}, expected a part of a tensor's name")
        if catch_all:
            yield Fault(at, f"never used: {catch_all} comes before it and has no filter; put that one last")
        elif name in (None, "*"):
            catch_all = at


def leaves(key: str, setting: Any) -> Iterator[Leaf]:
    """Yield every well-formed value of a setting with its key."""
    items = conditionals(key, setting)
    if not items:
        yield from _values(key, setting, None)
    for at, item in items:
        name = item.get("filter")
        wanted = name if isinstance(name, str) and name != "*" else None
        yield from _values(f"{at}.value", item.get("value"), wanted)


def _values(key: str, value: Any, name: str | None) -> Iterator[Leaf]:
    if is_scalar(value):
        yield Leaf(key, value, name)
    elif is_list_of_scalars(value):
        for index, item in enumerate(value):
            yield Leaf(f"{key}[{index}]", item, name, gradient=True)


def shown(value: Any) -> str:
    """Return how a value is quoted in a message: short, and as YAML calls it.

    >>> shown(None), shown("a"), shown([])
    ('nothing', "'a'", 'an empty list')
    """
    if value is None:
        return "nothing"
    if value == []:
        return "an empty list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
