"""Statistics of one tensor, as a rival reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mergekit.merge_methods.base import PerNonBase, TensorEntry
from torch import Tensor

from sst_mergekit.core.factor import dense
from sst_mergekit.core.geometry import FACTORS
from sst_mergekit.errors import RecipeError, StatisticsError
from sst_mergekit.plugin.shapes import require_shape
from sst_mergekit.statistics.store import open_statistics


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
    source = fisher[entry.id]
    if not source:
        raise RecipeError(
            f"models: '{entry.id}' has no 'parameters.{parameter}'; "
            "measure it with 'sst-mergekit fisher' and name its --out"
        )
    return source


def measured(tensor_name: str, tensor: Tensor, source: str, names: Sequence[str]) -> Measured | None:
    """Return the named statistics of a weight, or None where it has none (norms, biases).

    Truncated factors become dense: rivals know no other.

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


def without(tensor_name: str, source: str, instead: str) -> StatisticsError:
    """Return the error of a changed tensor that has no statistics."""
    why = open_statistics(source).manifest.skipped.get(tensor_name, "not a measured linear layer")
    return StatisticsError(
        f"{tensor_name}: the models differ in it but {source} has no statistics for it ({why}); {instead}"
    )
