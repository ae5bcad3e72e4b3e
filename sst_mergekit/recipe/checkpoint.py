"""What can be known of a model or adapter on this machine without loading its weights."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mergekit.common import ModelPath, ModelReference
from safetensors import SafetensorError, safe_open

from sst_mergekit.errors import RecipeError, StatisticsError
from sst_mergekit.statistics.fingerprint import local_directory, weights_fingerprint

INDEX = "model.safetensors.index.json"
WEIGHTS = ("model.safetensors", INDEX, "pytorch_model.bin", "pytorch_model.bin.index.json")
ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")


@dataclass(frozen=True)
class Header:
    """One tensor of a safetensors file: where it is, its dtype (``F32``, ``BF16``) and shape."""

    file: Path
    dtype: str
    shape: tuple[int, ...]


def is_local(path: str) -> bool:
    """Return whether a name in a recipe can only be meant as a path, there or not.

    >>> is_local("./experts/a"), is_local("mistralai/Mistral-7B-v0.1")
    (True, False)
    """
    if path.startswith((".", "/", "~")) or path.count("/") > 1 or Path(path).exists():
        return True
    return "/" in path and Path(path).parent.is_dir()


def directory_of(model: ModelPath) -> Path | None:
    """Return where a model's or adapter's files are on this machine, or None; nothing is downloaded."""
    return local_directory(model.path, model.revision)


def what_is_missing(directory: Path) -> str | None:
    """Return what keeps mergekit from reading a model in ``directory``, or None.

    Raises:
        RecipeError: a file, or the index of shards, is damaged.
    """
    if not (directory / "config.json").is_file():
        return "holds no config.json"
    if not any((directory / name).is_file() for name in WEIGHTS):
        return "holds no model.safetensors (nor its index of shards)"
    files = weight_files(directory)
    gone = [path.name for path in files if not path.is_file()]
    if gone:
        return f"lacks {gone[0]}, which its index of shards names"
    headers(files)
    return None


def weight_files(directory: Path) -> list[Path]:
    """Return the safetensors files that mergekit reads; none where the weights are .bin files."""
    index = directory / INDEX
    if not index.is_file():
        single = directory / "model.safetensors"
        return [single] if single.is_file() else []
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise RecipeError(f"{index}: damaged ({error!r}); copy the model again") from None
    return [directory / name for name in sorted(names)]


def local_headers(reference: ModelReference | None) -> dict[str, Header] | None:
    """Return name -> header of a full model's tensors, its adapter aside; None if they are not here."""
    directory = directory_of(reference.model) if reference else None
    if directory is None:
        return None
    try:
        if what_is_missing(directory):
            return None
        return headers(weight_files(directory)) or None
    except RecipeError:
        return None  # a rule on the model itself says so


def headers(files: list[Path]) -> dict[str, Header]:
    """Return name -> header of all tensors in some safetensors files.

    Raises:
        RecipeError: a file is damaged.
    """
    return {name: header for path in files for name, header in _headers(path, path.stat().st_mtime_ns)}


@functools.lru_cache(maxsize=512)
def _headers(path: Path, stamp: int) -> tuple[tuple[str, Header], ...]:
    try:
        with safe_open(path, framework="pt") as file:
            return tuple(_read(path, file))
    except (SafetensorError, OSError) as error:
        raise RecipeError(f"{path}: not a readable safetensors file ({error}); copy it again") from None


def _read(path: Path, file: safe_open) -> Iterator[tuple[str, Header]]:
    for name in file.keys():  # noqa: SIM118  (not a mapping)
        tensor = file.get_slice(name)
        yield name, Header(path, tensor.get_dtype(), tuple(tensor.get_shape()))


def fingerprint(directory: Path) -> str | None:
    """Return the statistics' fingerprint of the weights in ``directory``; None if none can be read."""
    stamp = tuple((path.name, path.stat().st_mtime_ns) for path in sorted(directory.glob("*.safetensors")))
    return _fingerprint(directory, stamp)


@functools.lru_cache(maxsize=64)
def _fingerprint(directory: Path, stamp: tuple[tuple[str, int], ...]) -> str | None:
    try:
        return weights_fingerprint(directory)
    except StatisticsError:
        return None  # a rule on the model itself says so


def surely_others(one: Path, other: Path) -> bool:
    """Return whether two directories hold other weights; a copy in another dtype may be the same model."""
    try:
        first, second = headers(weight_files(one)), headers(weight_files(other))
    except (RecipeError, OSError):
        return False
    if not first or not second:
        return False
    if {name: h.shape for name, h in first.items()} != {name: h.shape for name, h in second.items()}:
        return True
    same_dtypes = all(first[name].dtype == second[name].dtype for name in first)
    return same_dtypes and fingerprint(one) != fingerprint(other)


def samples_differ(name: str, one: Header, other: Header) -> bool:
    """Return whether two tensors surely differ, from the first, middle and last row of each.

    Equal samples, other dtypes and other shapes prove nothing: False.
    """
    if (one.dtype, one.shape) != (other.dtype, other.shape) or 0 in one.shape:
        return False
    pairs = zip(_sample(name, one), _sample(name, other), strict=True)
    return any(bool((a != b).any()) for a, b in pairs)


def _sample(name: str, header: Header) -> list:
    with safe_open(header.file, framework="pt") as file:
        if len(header.shape) < 2:
            return [file.get_tensor(name)]
        rows, tensor = header.shape[0], file.get_slice(name)
        return [tensor[row : row + 1] for row in (0, rows // 2, rows - 1)]
