"""Experts that too few tokens reach take the mean of their layer's experts.

A factor of a few tokens has a few directions: a filter that divides by it knows nothing of all others.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator

from torch import Tensor

from sst_mergekit.statistics.kinds.kind import Counts, Kind
from sst_mergekit.statistics.layers import Layer


class Pools:
    """The sums of all experts of a layer, while they are measured one by one.

    Args:
        layers: all that are measured.
        few: an expert that fewer tokens reach waits for the mean.

    Attributes:
        shared: layer -> the name that its mean is kept by.
        tokens: layer -> how many reached it and count: the loss feels what becomes of them.
        unreached: parameters whose experts no token reached.
    """

    def __init__(self, layers: Iterable[Layer], few: int) -> None:
        self._count = Counter(layer.stack for layer in layers if layer.routed)
        self._left = Counter(self._count)
        self._few = max(1, few)
        self._whole: dict[str, Kind] = {}
        self.shared: dict[str, str] = {}
        self.tokens: dict[str, int] = {}
        self.unreached: set[str] = set()

    def keeps(self, kind: Kind) -> bool:
        """Add a layer's sums to those of its parameter; return whether it has to wait for their mean."""
        layer = kind.layer
        if layer.routed is None:
            return False
        name = f"{layer.stack}[mean]"
        if layer.stack not in self._whole:
            self._whole[layer.stack] = type(kind)(dataclasses.replace(layer, name=name), None, kind.form)
        self._whole[layer.stack].absorb(kind)
        self._left[layer.stack] -= 1
        if kind.felt >= self._few:
            return False
        self.shared[layer.name], self.tokens[layer.name] = name, kind.felt
        return True

    def done(self, stack: str, counts: Counts) -> Iterator[tuple[Layer, dict[str, Tensor]]]:
        """Yield the mean of a parameter's experts, once all are there, where one of them waits for it."""
        if stack not in self._whole or self._left[stack]:
            return
        whole = self._whole.pop(stack)
        if whole.felt == 0:
            self.unreached.add(stack)
        elif whole.layer.name in self.shared.values():
            sequences = counts.sequences * self._count[stack]
            yield whole.layer, whole.means(dataclasses.replace(counts, sequences=sequences))

    def told(self) -> dict[str, str]:
        """Return layer -> why it has the mean of others."""
        why = f"tokens that count reached it, fewer than {self._few}: the mean of its layer's experts"
        return {name: f"{self.tokens[name]} {why}" for name in self.shared}
