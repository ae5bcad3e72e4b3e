"""Where statistics are measured: at which model and adapter, on which rows, with which labels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """Whose statistics: a model, an adapter on it, calibration data of equal shares, and the labels.

    With `halved` the adapter has half its scale.
    """

    model: str
    adapter: str | None
    data: tuple[str, ...]
    labels: str = "given"
    halved: bool = False


_HARM = ("harm", "look_alikes")
MEASURED = {
    "utility": Measured("utility", None, ("benign",), "sampled"),
    "safety": Measured("base", "safety", _HARM),
    "base-on-benign": Measured("base", None, ("benign",), "sampled"),
    "base-on-harm": Measured("base", None, _HARM),
    # at other sites, for variants: the safety patch on the utility expert, half of it or all of it
    "utility-given": Measured("utility", None, ("benign",)),
    "safety-on-harm-alone": Measured("base", "safety", ("harm",)),
    "utility-on-harm": Measured("utility", None, _HARM),
    "half-on-benign": Measured("utility", "safety", ("benign",), "sampled", halved=True),
    "half-on-harm": Measured("utility", "safety", _HARM, halved=True),
}


def parted(name: str) -> tuple[Measured, str, int | None]:
    """Return the site, kind and number of samples (None: the testbed's) that a unit's name asks for.

    >>> parted("utility-kronecker@64")[1:]
    ('kronecker', 64)
    """
    who, _, rest = name.rpartition("-")
    kind, _, count = rest.partition("@")
    return MEASURED[who], kind, int(count) if count else None
