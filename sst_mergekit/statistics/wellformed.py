"""What a manifest must be before anything in it is used: it may come from somebody else."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath, PureWindowsPath
from typing import Any, TypeGuard

from sst_mergekit.core.settings import TRACED

_MAPPINGS = ("model", "data", "form", "versions", "skipped", "files", "weight_map", "layers")
_TEXTS = ("kind", "labels", "dtype")


def faults(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a manifest's body: the key, what it holds and what was expected."""
    yield from _each(body, "", _TEXTS, _is_text, "a text")
    yield from _each(body, "", _MAPPINGS, _is_mapping, "a mapping")
    if not _is_mapping(body.get("adapter", {})) and body.get("adapter") is not None:
        yield _fault("adapter", body["adapter"], "a mapping or null")
    for name in ("run", "pooled"):
        if not _is_mapping(body.get(name, {})):
            yield _fault(name, body[name], "a mapping")
    if type(body.get("seed")) is not int:
        yield _fault("seed", body.get("seed"), "a whole number")
    for name in ("files", "weight_map", "skipped", "pooled"):
        found = body.get(name)
        if _is_mapping(found):
            yield from _each(found, f"{name}.", found, _is_text, "a text")
    places = body.get("weight_map")
    if _is_mapping(places):
        yield from _each(places, "weight_map.", places, _is_file_name, "the name of a file in this directory")
    layers = body.get("layers")
    for name, record in layers.items() if _is_mapping(layers) else ():
        yield from _layer(f"layers.{name}", record)


def _layer(key: str, record: Any) -> Iterator[str]:
    if not _is_mapping(record):
        yield _fault(key, record, "a mapping")
        return
    shape = record.get("shape")
    sides = shape if isinstance(shape, list) else []
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        yield _fault(f"{key}.shape", shape, "two whole numbers > 0")
    if type(record.get("transposed")) is not bool:
        yield _fault(f"{key}.transposed", record.get("transposed"), "true or false")
    stored = record.get("stored", [])
    if not isinstance(stored, list) or not all(map(_is_text, stored)):
        yield _fault(f"{key}.stored", stored, "a list of texts")
    yield from _each(record, f"{key}.", ("tensors", "traces"), _is_mapping, "a mapping")
    tensors, traces = record.get("tensors"), record.get("traces")
    if _is_mapping(tensors) and _is_mapping(traces):
        yield from _each(tensors, f"{key}.tensors.", tensors, _is_text, "a text")
        needed = [name for name in tensors if name in TRACED]
        yield from _each(traces, f"{key}.traces.", [*needed, *traces], _is_trace, "a finite number >= 0")


def _each(
    body: Mapping[str, Any], prefix: str, names: Any, fits: Callable[[Any], bool], expected: str
) -> Iterator[str]:
    for name in dict.fromkeys(names):
        if not fits(body.get(name)):
            yield _fault(f"{prefix}{name}", body.get(name), expected)


def _fault(key: str, value: Any, expected: str) -> str:
    return f"{key}: got {repr(value)[:60]}, expected {expected}"


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_mapping(value: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def _is_trace(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= 0


def _is_file_name(value: Any) -> bool:
    """Return whether a value can name a file, and only one of the directory itself.

    >>> _is_file_name("a.safetensors"), _is_file_name("../a"), _is_file_name("/a"), _is_file_name("..")
    (True, False, False, False)
    """
    names = isinstance(value, str) and {PurePath(value).name, PureWindowsPath(value).name}
    return value not in ("", ".", "..") and names == {value}
