"""Statistics of one tensor, as a baseline reads them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from sst_mergekit.core.factor import dense
from sst_mergekit.core.geometry import FACTORS
from sst_mergekit.errors import RecipeError, StatisticsError
from sst_mergekit.statistics.shapes import require_shape
from sst_mergekit.statistics.store import open_statistics

if TYPE_CHECKING:
    from mergekit.merge_methods.base import PerNonBase, TensorEntry, TensorGroup

KEEP = "set 'on_missing: keep' to keep the utility expert's weights there"


@dataclass(frozen=True)
class Measured:
    """Statistics by name (``input``, ``output``, ``diagonal``) of a linear map [d_out, d_in].

    Attributes:
        tensors: the statistics.
        transposed: the checkpoint holds the weight as [d_in, d_out].
        name: of the weight in the checkpoint.
        source: where the statistics are, as the recipe says.
    """

    tensors: dict[str, Tensor]
    transposed: bool
    name: str
    source: str

    def oriented(self, weight: Tensor) -> Tensor:
        """Return the weight as [d_out, d_in] if it is stored, as stored if it is [d_out, d_in]."""
        return weight.T if self.transposed else weight

    @contextlib.contextmanager
    def at_fault(self, *others: str) -> Iterator[None]:
        """Say of which weight and of which statistics a ValueError of a formula is."""
        try:
            yield
        except ValueError as error:
            sources = ", ".join(sorted((self.source, *others)))
            raise StatisticsError(f"{self.name}: {error} (statistics: {sources})") from None


def source_of(model: object, source: str, parameter: str = "fisher") -> str:
    """Return where the statistics of a model are; RecipeError where the recipe does not say it."""
    if not source:
        raise RecipeError(
            f"models: '{model}' has no 'parameters.{parameter}'; "
            "measure it with 'sst-mergekit fisher' and name its --out"
        )
    return source


def statistics_of(
    group: TensorGroup,
    entry: TensorEntry | None,
    fisher: PerNonBase[str],
    names: Sequence[str],
    on_missing: str,
    hint: str = KEEP,
    parameter: str = "fisher",
) -> Measured | None:
    """Return the named statistics of a model's weight, those that `parameter` names; see `measured`."""
    assert entry is not None, "the roles were checked"  # noqa: S101
    name, source = group.metadata.name or "", source_of(entry.id, fisher[entry.id], parameter)
    record = open_statistics(source).find(name)
    shape = entry.tensor.shape[::-1] if record and record.transposed else entry.tensor.shape
    return measured(name, shape, str(entry.tensor.device), source, names, on_missing, hint)


def measured(
    name: str,
    shape: Sequence[int],
    device: str,
    source: str,
    names: Sequence[str],
    on_missing: str,
    hint: str = KEEP,
) -> Measured | None:
    """Return the named statistics of a weight that the models differ in; truncated factors become dense.

    Args:
        name: of the weight in the checkpoint.
        shape: of its linear map, (d_out, d_in).
        device: where they are to be.
        source: directory or Hub repository.
        names: of the statistics.
        on_missing: of a weight that has none (norms, biases): ``error``, else None is returned.
        hint: what to do then.

    Raises:
        StatisticsError: there are none, or of another shape or kind.
    """
    store = open_statistics(source)
    record = store.find(name)
    if record is None and on_missing == "error":
        why = store.why_not(name)
        raise StatisticsError(
            f"{name}: the models differ in it but {source} has no statistics for it ({why}); {hint}"
        )
    if record is None:
        return None
    require_shape(name, shape, record.shape, record.transposed, source)
    found = store.tensors(record, tuple(names), device)
    found = {key: dense(each) if key in FACTORS else each for key, each in found.items()}
    return Measured(found, record.transposed, name, source)
