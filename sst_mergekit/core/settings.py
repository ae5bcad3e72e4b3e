"""The numbers and names that choose a filter; every default of the method is written here, once."""

from __future__ import annotations

from dataclasses import dataclass

FILTERS = ("separable", "soft", "hard", "shuffled", "random", "magnitude", "svd", "data_free")


@dataclass(frozen=True)
class FilterSettings:
    """How one patch is filtered.

    Attributes:
        filter: ``separable`` (one weight factor a side), ``soft`` (weight rho / (rho + cost)),
            ``hard`` (the top ``density`` share of directions), ``data_free`` (soft on squared task
            vectors), or a control: ``shuffled`` (the separable weights, dealt to random directions),
            ``random``, ``magnitude``, ``svd`` (a `density` share at the separable filter's norm).
        cost: price c >= 0 of benign cost against harm relevance; 0 keeps the whole patch.
        density: share of directions kept by ``hard`` and the controls, in (0, 1].
        damping: epsilon >= 0 added to both sides after scaling to mean eigenvalue 1.
        seed: for ``shuffled`` and ``random``.
    """

    filter: str = "separable"
    cost: float = 0.3
    density: float = 0.3
    damping: float = 0.1
    seed: int = 0


GEOMETRY = "kronecker"
STRENGTH = 1.0
PATCH = "add"
BALANCE = "global"
ON_MISSING = "error"
MIN_COVERAGE = 0.9  # of the patch's squared norm, below which a merge warns
DEFAULTS = FilterSettings()
TRACED = ("input", "output", "diagonal", "scores")  # statistics whose trace is part of a Fisher matrix's
