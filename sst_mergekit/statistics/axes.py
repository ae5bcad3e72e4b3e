"""The coordinates in which ``subspace`` statistics are measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sst_mergekit.statistics.kinds.kind import Axes


@dataclass(frozen=True)
class AxesSource:
    """Where coordinates come from: what reads them, when it is time, and what the manifest says of them."""

    read: Callable[[], Mapping[str, Axes]]
    about: Mapping[str, Any]


def patch_axes(patches: Iterable[tuple[str, Tensor, bool]], rank: int) -> Mapping[str, Axes]:
    """Return each layer's singular coordinates of a patch, as many as it has up to `rank`, in float32.

    Args:
        patches: (weight's name, D, whether D is as the checkpoint stores it, not [d_out, d_in]), one at a
            time; zero patches are left out.
        rank: the most directions a layer.
    """
    found = {}
    for name, patch, stored in patches:
        u, s, vh = torch.linalg.svd(patch.to(torch.float64), full_matrices=False)
        if float(s[0]) == 0:
            continue
        tiny = float(s[0]) * max(patch.shape) * torch.finfo(torch.float32).eps
        count = min(rank, int((s > tiny).sum()))
        left, right = u[:, :count].to(torch.float32), vh[:count].T.contiguous().to(torch.float32)
        found[name] = Axes(left.contiguous(), right, stored)
    return found
