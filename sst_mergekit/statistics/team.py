"""The processes of one measurement, as ``accelerate launch`` starts them: each takes a share of the data."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from sst_mergekit.errors import SstError, StatisticsError

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
PATIENCE = timedelta(days=7)  # how long a process waits for the slowest


@dataclass(frozen=True)
class Team:
    """Processes that measure together; alone, every method gives back what it was given.

    Attributes:
        rank: which of them this process is.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes and shows progress."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> list[T]:
        """Return every `size`-th item, from the `rank`-th on.

        >>> Team(1, 2).share("abcde")
        ['b', 'd']

        Raises:
            SstError: there are fewer items than processes.
        """
        if len(items) < self.size:
            raise SstError(f"{len(items)} samples for {self.size} processes: start at most {len(items)}")
        return list(items[self.rank :: self.size])

    def add(self, sums: dict[str, Tensor], what: str) -> None:
        """Add the sums of all processes, in place.

        Raises:
            StatisticsError: a process lacks one of `what`'s sums.
        """
        if self.size == 1:
            return
        import torch.distributed as dist

        names = [sorted(sums)] * self.size
        dist.all_gather_object(names, sorted(sums))
        if any(found != names[0] for found in names):
            raise StatisticsError(f"{what}: not reached in every process; measure in one process")
        for name in sorted(sums):
            whole = sums[name].contiguous()
            dist.all_reduce(whole)
            sums[name] = whole

    def woven(self, rows: Tensor) -> Tensor:
        """Return the rows of all processes, in the order of the items before they were shared."""
        if self.size == 1:
            return rows
        import torch
        import torch.distributed as dist

        counts = torch.zeros(self.size, dtype=torch.int64, device=rows.device)
        counts[self.rank] = len(rows)
        dist.all_reduce(counts)
        whole = rows.new_zeros(int(counts.sum()), *rows.shape[1:])
        whole[self.rank :: self.size] = rows
        dist.all_reduce(whole)
        return whole

    def gathered(self, value: T) -> list[T]:
        """Return the values of all processes, in their order."""
        box = [value] * self.size
        if self.size > 1:
            import torch.distributed as dist

            dist.all_gather_object(box, value)
        return box

    def told(self, value: T | None) -> T:
        """Return the first process's value, once it has one."""
        box: list = [value]
        if self.size > 1:
            import torch.distributed as dist

            dist.broadcast_object_list(box)
        return box[0]


@contextlib.contextmanager
def joined(device: str) -> Iterator[Team]:
    """Yield the team of ``accelerate launch`` (or ``torchrun``), connected; or this process alone.

    A group that is there already is taken and left as it is.

    On the CPU they speak by gloo, on GPUs by NCCL, where ``cuda`` is each process's own.
    """
    import torch.distributed as dist

    if dist.is_initialized():
        yield Team(dist.get_rank(), dist.get_world_size())
        return
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Team()
        return
    from accelerate import PartialState

    state = PartialState(cpu=device == "cpu", timeout=PATIENCE)
    try:
        yield Team(state.process_index, state.num_processes)
    finally:
        state.destroy_process_group()
