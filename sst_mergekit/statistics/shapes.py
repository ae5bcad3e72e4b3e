"""A weight and its statistics must be of one shape."""

from __future__ import annotations

from collections.abc import Sequence

from sst_mergekit.errors import StatisticsError


def require_shape(
    tensor_name: str, shape: Sequence[int], known: Sequence[int], transposed: bool, origin: str
) -> None:
    """Raise StatisticsError unless both are the same; the message has them as the checkpoint does.

    Args:
        tensor_name: of the weight in the checkpoint.
        shape: of its linear map, (d_out, d_in).
        known: of the linear map that the statistics are of.
        transposed: the checkpoint holds it as [d_in, d_out].
        origin: of the statistics.
    """
    if tuple(shape) != tuple(known):
        got, of = (list(s[::-1] if transposed else s) for s in (shape, known))
        raise StatisticsError(
            f"{tensor_name}: shape {got}, but the statistics in {origin} are of {of}; "
            "they belong to another model or vocabulary"
        )
