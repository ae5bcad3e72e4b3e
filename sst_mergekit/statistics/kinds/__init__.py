"""The kinds of statistics by name; a new one is a file here and a line below; ``KINDS`` loads torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sst_mergekit.statistics.kinds.kind import Kind

    KINDS: dict[str, type[Kind]]

_CLASSES = {
    "kronecker": "Kronecker",
    "activation": "Activation",
    "diagonal": "Diagonal",
    "subspace": "Subspace",
}
KIND_NAMES = tuple(_CLASSES)


def __getattr__(name: str) -> object:
    """Load ``KINDS`` the first time it is asked for."""
    if name != "KINDS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    modules = {kind: importlib.import_module(f"{__name__}.{kind}") for kind in _CLASSES}
    found = globals()["KINDS"] = {kind: getattr(modules[kind], _CLASSES[kind]) for kind in _CLASSES}
    return found
