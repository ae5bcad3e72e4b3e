"""A unit of work, named by a hash of everything that its result depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

FORMAT = 2  # rises when the same inputs give another result
DIGITS = 20

# (inputs, what each parent made, where to put the result)
Work = Callable[[Mapping[str, Any], Mapping[str, Path], Path], None]


@dataclass(frozen=True, eq=False)
class Unit:
    """One thing to make once: data, a trained model, statistics, a folded adapter, scores.

    Attributes:
        kind: ``data``, ``train``, ``statistics``, ``fold`` or ``score``; its folder in the store.
        name: for people; not part of the key.
        work: a function of a module, which makes the result at the path it is given.
        inputs: everything else that the result depends on, as plain JSON.
        parents: units whose results are read, by the name that `work` knows them by.
    """

    kind: str
    name: str
    work: Work
    inputs: Mapping[str, Any]
    parents: Mapping[str, Unit] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """The hash of kind, function and its module, inputs, the parents' keys and the format of the code."""
        body = {
            "format": FORMAT,
            "kind": self.kind,
            "work": f"{self.work.__module__}.{self.work.__qualname__}",
            "inputs": self.inputs,
            "parents": {role: parent.key for role, parent in self.parents.items()},
        }
        text = json.dumps(body, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]

    def about(self) -> dict[str, Any]:
        """Return what the unit is, for the note that is kept beside its result."""
        parents = {role: parent.key for role, parent in self.parents.items()}
        return {"key": self.key, "kind": self.kind, "name": self.name, "format": FORMAT} | {
            "inputs": dict(self.inputs),
            "parents": parents,
        }


def with_parents(units: Iterable[Unit]) -> list[list[Unit]]:
    """Return the units and all they need, each once, in layers: a layer needs only those before it."""
    depths: dict[str, int] = {}
    found: dict[str, Unit] = {}

    def depth(unit: Unit) -> int:
        if unit.key not in depths:
            depths[unit.key] = 1 + max((depth(parent) for parent in unit.parents.values()), default=-1)
            found[unit.key] = unit
        return depths[unit.key]

    deepest = max((depth(unit) for unit in units), default=-1)
    return [[unit for key, unit in found.items() if depths[key] == level] for level in range(deepest + 1)]
