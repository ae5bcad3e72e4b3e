"""How much work a model is, and how fast matrix products are: what seconds are computed from."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import flop_counter

from sst_mergekit.statistics.labels import summed_loss
from sst_mergekit.statistics.tokens import Batch


def _attention(query: Any, key: Any, value: Any, *_rest: Any, **_named: Any) -> int:
    return flop_counter.sdpa_flop_count(query, key, value)


def _attention_back(gradient: Any, query: Any, key: Any, value: Any, *_rest: Any, **_named: Any) -> int:
    return flop_counter.sdpa_backward_flop_count(gradient, query, key, value)


_ATEN = torch.ops.aten
OF_THE_CPU = {  # which torch's counter does not know; of shapes
    _ATEN._scaled_dot_product_flash_attention_for_cpu: _attention,
    _ATEN._scaled_dot_product_flash_attention_for_cpu_backward: _attention_back,
}


@dataclass(frozen=True)
class Speed:
    """Floating-point operations a second, and where they are from.

    Attributes:
        model: of products in the model's dtype.
        sums: of products in float32, in which statistics are summed.
        where: ``measured`` or ``stated``.
    """

    model: float
    sums: float
    where: str = "stated"

    def seconds(self, model_flop: float, sums_flop: float) -> float:
        """Return the seconds that so many operations take."""
        return model_flop / self.model + sums_flop / self.sums

    def text(self) -> str:
        """Return it as people read it."""
        return f"at {self.model / 1e12:.3g} and {self.sums / 1e12:.3g} TFLOP/s ({self.where})"


def measured(dtype: str, device: str) -> Speed:
    """Return the speed of one large matrix product in each dtype, the best of three: an upper bound."""
    size = 4096 if device.startswith("cuda") else 1024
    found = {name: _products(getattr(torch, name), device, size) for name in {dtype, "float32"}}
    return Speed(found[dtype], found["float32"], "measured")


def _products(dtype: torch.dtype, device: str, size: int) -> float:
    matrix = torch.ones(size, size, dtype=dtype, device=device)
    best = float("inf")
    for _ in range(4):  # the first warms up
        start = time.perf_counter()
        float((matrix @ matrix)[0, 0])  # waits for a GPU
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def model_work(model: nn.Module, batch: Batch, response: int, backward: bool) -> int:
    """Return the operations of a batch: one forward pass and one backward, without gradients of weights.

    Args:
        model: in `observing.measuring`, perhaps without data.
        batch: padded sequences.
        response: positions that the output head sees, of each sequence.
        backward: whether there is a backward pass.
    """

    def begin(_module: nn.Module, _args: tuple, output: Tensor) -> None:
        output.requires_grad_(backward)

    def cut(_module: nn.Module, args: tuple) -> tuple:
        return (args[0][:, -response:], *args[1:])

    handles = [
        model.get_input_embeddings().register_forward_hook(begin),  # type: ignore[operator]
        model.get_output_embeddings().register_forward_pre_hook(cut),  # type: ignore[operator]
    ]
    counter = flop_counter.FlopCounterMode(display=False, custom_mapping=OF_THE_CPU)
    try:
        with counter, torch.set_grad_enabled(backward):
            logits = model(input_ids=batch.ids, attention_mask=batch.attention, use_cache=False).logits
            if backward:
                summed_loss(logits, batch.labels[:, -response:]).backward()
    finally:
        for handle in handles:
            handle.remove()
    return counter.get_total_flops()
