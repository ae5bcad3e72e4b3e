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
    from mergekit.merge_methods.base import PerNonBase, TensorEntry

KEEP = "set 'on_missing: keep' to keep the utility expert's weights there"


@dataclass(frozen=True)
class Measured:
    """Statistics by name (``input``, ``output``, ``diagonal``) of a linear map [d_out, d_in].

    Attributes:
        tensors: the statistics.
        transposed: the checkpoint holds the weight as [d_in, d_out].
        source: where they are, as the recipe says.
    """

    tensors: dict[str, Tensor]
    transposed: bool
    source: str

    def oriented(self, weight: Tensor) -> Tensor:
        """Return the weight as [d_out, d_in] if it is stored, as stored if it is [d_out, d_in]."""
        return weight.T if self.transposed else weight


def source_of(entry: TensorEntry, fisher: PerNonBase[str], parameter: str = "fisher") -> str:
    """Return where the statistics of a model are."""
    return named_source(entry.id, fisher[entry.id], parameter)


def named_source(model: object, source: str, parameter: str = "fisher") -> str:
    """Return where the statistics of a model are; RecipeError where the recipe does not say it."""
    if not source:
        raise RecipeError(
            f"models: '{model}' has no 'parameters.{parameter}'; "
            "measure it with 'sst-mergekit fisher' and name its --out"
        )
    return source


def measured(tensor_name: str, tensor: Tensor, source: str, names: Sequence[str]) -> Measured | None:
    """Return the named statistics of a weight, or None where it has none (norms, biases).

    Truncated factors become dense: baselines know no other.

    Args:
        tensor_name: of the weight in the checkpoint.
        tensor: the weight as it is stored.
        source: directory or Hub repository.
        names: of the statistics.

    Raises:
        StatisticsError: there are statistics, of another shape or kind.
    """
    record = open_statistics(source).find(tensor_name)
    if record is None:
        return None
    shape = tensor.shape[::-1] if record.transposed else tensor.shape
    return measured_map(tensor_name, shape, str(tensor.device), source, names)


def measured_map(
    tensor_name: str, shape: Sequence[int], device: str, source: str, names: Sequence[str]
) -> Measured | None:
    """Return the named statistics of a linear map of ``shape`` (d_out, d_in), on a device; see `measured`."""
    store = open_statistics(source)
    record = store.find(tensor_name)
    if record is None:
        return None
    require_shape(tensor_name, shape, record.shape, record.transposed, source)
    found = store.tensors(record, tuple(names), device)
    found = {key: dense(each) if key in FACTORS else each for key, each in found.items()}
    return Measured(found, record.transposed, source)


def or_refused(
    found: Measured | None, on_missing: str, tensor_name: str, source: str, hint: str
) -> Measured | None:
    """Return what was found of a changed tensor; None where ``on_missing`` is not ``error``.

    Raises:
        StatisticsError: nothing was found.
    """
    if found is None and on_missing == "error":
        why = open_statistics(source).manifest.skipped.get(tensor_name, "not a measured linear layer")
        raise StatisticsError(
            f"{tensor_name}: the models differ in it but {source} has no statistics for it ({why}); {hint}"
        )
    return found


@contextlib.contextmanager
def faults_named(tensor_name: str, *sources: str) -> Iterator[None]:
    """Say of which tensor and of which statistics a ValueError of a formula is."""
    try:
        yield
    except ValueError as error:
        raise StatisticsError(f"{tensor_name}: {error} (statistics: {', '.join(sources)})") from None
