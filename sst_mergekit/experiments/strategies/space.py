"""What is searched: parameters with their values, as ``--param`` gives them."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from sst_mergekit.errors import SstError
from sst_mergekit.experiments.strategies.strategy import Settings

DIGITS = 4  # significant digits of a value within a range
FORM = "NAME=A,B,C or NAME=LOW:HIGH[:COUNT][:log]"


@dataclass(frozen=True)
class Parameter:
    """A parameter of a recipe and what it may be.

    Attributes:
        name: a shared parameter (``strength``), or a place (``models[1].parameters.weight``).
        values: what is tried, in order; empty where any number between `low` and `high` is.
        low, high: the ends of a range.
        log: whether equal ratios count alike, not equal differences.
    """

    name: str
    values: tuple[float | str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False

    @property
    def ends(self) -> tuple[float | str, float | str]:
        """The first and the last value."""
        return (self.values[0], self.values[-1]) if self.values else (self.low, self.high)

    def drawn(self, generator: random.Random) -> float | str:
        """Return a value at random."""
        if self.values:
            return generator.choice(self.values)
        if self.log:
            return self.rounded(math.exp(generator.uniform(math.log(self.low), math.log(self.high))))
        return self.rounded(generator.uniform(self.low, self.high))

    def rounded(self, value: float) -> float:
        """Return a value of the range with few digits, within its ends."""
        return min(max(_rounded(value), self.low), self.high)


def parse(text: str) -> Parameter:
    """Return the parameter that ``--param`` describes.

    >>> parse("cost=0.03,0.3").values
    (0.03, 0.3)
    >>> parse("strength=0:1:3").values
    (0.0, 0.5, 1.0)
    >>> parse("damping=0.001:1:4:log").values
    (0.001, 0.01, 0.1, 1.0)

    Raises:
        SstError: the text is of another form.
    """
    name, equals, body = text.partition("=")
    fault = SstError(f"--param {text}: expected {FORM}")
    if not equals or not name.strip() or not body.strip():
        raise fault
    if ":" not in body:
        values = tuple(_number(word.strip()) for word in body.split(","))
        if "" in values or len(set(values)) < len(values):
            raise SstError(f"--param {text}: a value is empty or there twice")
        return Parameter(name.strip(), values)
    *words, last = body.split(":")
    log = last == "log"
    numbers = [_number(word) for word in (words if log else [*words, last])]
    if len(numbers) not in (2, 3) or not all(isinstance(n, float) and math.isfinite(n) for n in numbers):
        raise fault
    low, high, *counts = numbers
    if not low < high or (log and low <= 0):  # type: ignore[operator]
        raise SstError(f"--param {text}: expected {'0 < ' if log else ''}LOW < HIGH")
    if not counts:
        return Parameter(name.strip(), (), low, high, log)  # type: ignore[arg-type]
    return Parameter(name.strip(), _spread(text, low, high, counts[0], log))  # type: ignore[arg-type]


def _spread(text: str, low: float, high: float, count: float, log: bool) -> tuple[float, ...]:
    if count != int(count) or count < 2:
        raise SstError(f"--param {text}: expected a COUNT of at least 2, a whole number")
    steps = [i / (int(count) - 1) for i in range(int(count))]
    if log:
        return tuple(_rounded(low * (high / low) ** step) for step in steps)
    return tuple(_rounded(low + (high - low) * step) for step in steps)


def parse_all(texts: Sequence[str]) -> tuple[Parameter, ...]:
    """Return the parameters of all ``--param``.

    Raises:
        SstError: one is of another form, or a name is there twice.
    """
    found = tuple(parse(text) for text in texts)
    names = [parameter.name for parameter in found]
    for name in names:
        if names.count(name) > 1:
            raise SstError(f"--param {name}: is there twice; give all its values in one")
    return found


def grid(space: Sequence[Parameter]) -> Iterator[Settings]:
    """Return every combination, the last parameter changing fastest.

    Raises:
        SstError: a range has no count.
    """
    for parameter in space:
        if not parameter.values:
            low, high = parameter.ends
            raise SstError(
                f"--param {parameter.name}={low:g}:{high:g}: a grid needs a COUNT "
                f"({parameter.name}={low:g}:{high:g}:5), or choose another --sampler"
            )
    names = [parameter.name for parameter in space]
    return (
        dict(zip(names, values, strict=True))
        for values in product(*(parameter.values for parameter in space))
    )


def size(space: Sequence[Parameter]) -> int | None:
    """Return the number of combinations, None where there is a range without a count."""
    if any(not parameter.values for parameter in space):
        return None
    return math.prod(len(parameter.values) for parameter in space)


def corners(space: Sequence[Parameter]) -> list[Settings]:
    """Return the settings of all first and of all last values."""
    return [{parameter.name: parameter.ends[end] for parameter in space} for end in (0, 1)]


def spelled(settings: Mapping[str, Any]) -> str:
    """Return settings for people.

    >>> spelled({"strength": 0.5, "filter": "soft"})
    'strength 0.5, filter soft'
    """
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in settings.items()
    )


def _number(word: str) -> float | str:
    try:
        return float(word)
    except ValueError:
        return word


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
