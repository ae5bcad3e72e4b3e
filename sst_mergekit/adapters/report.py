"""What a merge of adapters made: layers, ranks, and how much of each change was retained."""

from __future__ import annotations

from dataclasses import dataclass

from sst_mergekit.plugin.coverage import Coverage

ENOUGH = 0.99


@dataclass(frozen=True)
class MergedLayer:
    """One layer of the result; ``full`` and ``kept`` are squared Frobenius norms of its change."""

    module: str
    rank: int
    exact: bool
    full: float
    kept: float

    @property
    def retained(self) -> float:
        """The share of the change's energy that is kept, 0 to 1."""
        return 1.0 if self.exact else min(1.0, self.kept / self.full)


@dataclass(frozen=True)
class Report:
    """All layers of the result, at least one; for ``sst`` what was done to the patches (else None)."""

    layers: tuple[MergedLayer, ...]
    coverage: Coverage | None = None

    @property
    def exact(self) -> bool:
        """Whether nothing was left out anywhere."""
        return all(layer.exact for layer in self.layers)

    @property
    def retained(self) -> float:
        """The share of the whole change's energy that is kept, 0 to 1."""
        if self.exact:
            return 1.0
        return min(1.0, sum(layer.kept for layer in self.layers) / sum(layer.full for layer in self.layers))

    @property
    def least(self) -> MergedLayer:
        """The layer that lost the largest share."""
        return min(self.layers, key=lambda layer: layer.retained)

    def summary(self) -> str:
        """Return one line: layers, ranks, exact or the retained energy."""
        ranks = sorted({layer.rank for layer in self.layers})
        rank = f"rank {ranks[0]}" if len(ranks) == 1 else f"ranks {ranks[0]} to {ranks[-1]}"
        count = len(self.layers)
        start = f"{count} layer{'s' if count != 1 else ''}, {rank}"
        if self.exact:
            return f"{start}, exact."
        least = self.least
        return (
            f"{start}, {sum(layer.exact for layer in self.layers)} of them exact; retained energy "
            f"{self.retained:.4f} in all, least {least.retained:.4f} ({least.module})."
        )

    def lossy(self) -> list[MergedLayer]:
        """Return the layers that kept less than 0.99 of their energy."""
        return [layer for layer in self.layers if layer.retained < ENOUGH]
