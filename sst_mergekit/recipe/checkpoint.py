"""What can be known of a model or adapter on this machine without loading its weights."""

from __future__ import annotations

import functools
from pathlib import Path

from mergekit.common import ModelPath, ModelReference
from safetensors import safe_open

from sst_mergekit.checkpoints import Header, headers, lacking, weight_files
from sst_mergekit.errors import SstError
from sst_mergekit.statistics.fingerprint import local_directory, weights_fingerprint


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


def local_headers(reference: ModelReference | None) -> dict[str, Header] | None:
    """Return name -> header of a full model's tensors, its adapter aside; None if they are not here."""
    directory = directory_of(reference.model) if reference else None
    if directory is None:
        return None
    try:
        if lacking(directory):
            return None
        return headers(weight_files(directory)) or None
    except SstError:
        return None  # a rule on the model itself says so


def fingerprint(directory: Path) -> str | None:
    """Return the statistics' fingerprint of the weights in ``directory``; None if none can be read."""
    try:
        files = weight_files(directory)
    except SstError:
        return None  # a rule on the model itself says so
    stamp = tuple((path.name, path.stat().st_mtime_ns) for path in files if path.is_file())
    return _fingerprint(directory, stamp)


@functools.lru_cache(maxsize=64)
def _fingerprint(directory: Path, stamp: tuple[tuple[str, int], ...]) -> str | None:
    try:
        return weights_fingerprint(directory)
    except SstError:
        return None  # a rule on the model itself says so


def surely_others(one: Path, other: Path) -> bool:
    """Return whether two directories hold other weights; a copy in another dtype may be the same model."""
    try:
        first, second = headers(weight_files(one)), headers(weight_files(other))
    except (SstError, OSError):
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
