"""What the units of work keep of the models that a comparison ended with: tables, answers, recipes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sst_mergekit.testbeds.answers import ANSWERS, read_answers


@dataclass(frozen=True)
class Scored:
    """The scores behind one result.

    Attributes:
        store: the folder of the units of work.
        places: where in it, by seed and model.
    """

    store: Path
    places: Mapping[str, Mapping[str, str]]

    @property
    def missing(self) -> str | None:
        """Return why scores cannot be read, None if they can."""
        if not self.places:
            return "the result does not say where its scores are; run the same command again"
        wanted = (place for places in self.places.values() for place in places.values())
        if not all((self.store / place).is_dir() for place in wanted):
            return f"the folder {self.store.name}/ beside the results lacks the scores; copy it along"
        return None

    @property
    def models(self) -> list[str]:
        """Return the models in the order of the first seed."""
        return list(next(iter(self.places.values())))

    def tables(self, model: str) -> list[dict[str, Any]]:
        """Return a model's tables, one a seed."""
        return [self._read(seed, model, "result/table.json") for seed in self.places]

    def subjects(self, model: str) -> list[dict[str, dict[str, int]]]:
        """Return a model's right answers by subject, one mapping a seed."""
        return [self._answers(seed, model)["subjects"] for seed in self.places]

    def answers(self, seed: str, model: str) -> dict[str, list[dict[str, Any]]]:
        """Return a model's first answers by task."""
        return self._answers(seed, model)["answers"]

    def recipe(self, seed: str, model: str) -> dict[str, Any] | None:
        """Return a merge's recipe, in which ``unit:/NAME`` stands for a part's folder; None of an expert."""
        return self._read(seed, model, "unit.json")["inputs"].get("recipe")

    def _answers(self, seed: str, model: str) -> dict[str, Any]:
        folder = self.store / self.places[seed][model] / "result"
        return read_answers(folder) if (folder / ANSWERS).is_file() else {"subjects": {}, "answers": {}}

    def _read(self, seed: str, model: str, file: str) -> Any:
        path = self.store / self.places[seed][model] / file
        return json.loads(path.read_text(encoding="utf-8"))
