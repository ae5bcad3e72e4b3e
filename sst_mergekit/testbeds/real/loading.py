"""How a Hub model is loaded: precision, devices and attention, as its options ask and this machine can."""

from __future__ import annotations

import functools
import re
import sys
from dataclasses import dataclass

from sst_mergekit.errors import SstError
from sst_mergekit.statistics.loading import ModelSpec, default_device, require_device
from sst_mergekit.testbeds.options import ModelOptions

SPREAD = ("auto", "balanced", "balanced_low_0", "sequential")
FLASH = "flash_attention_2"
_DEVICE = re.compile(r"cpu|mps|cuda(:\d+)?")


@dataclass(frozen=True)
class Loading:
    """How a model is loaded.

    Attributes:
        dtype: of its weights.
        device_map: a device, or how transformers spreads the model over the GPUs that it sees.
        attention: transformers' ``attn_implementation``; None for its own choice.
    """

    dtype: str
    device_map: str
    attention: str | None = None

    @property
    def device(self) -> str:
        """Where inputs go: the device, or the first GPU."""
        return default_device() if self.device_map in SPREAD else self.device_map

    @property
    def spreads(self) -> bool:
        """Whether the model is divided: there are several GPUs and no single one is named."""
        import torch

        return self.device_map in SPREAD and torch.cuda.device_count() > 1

    def spec(self, model: str, adapter: str | None = None) -> ModelSpec:
        """Return what loads a model so."""
        spread = self.device_map if self.spreads else None
        return ModelSpec(model, adapter, self.dtype, self.device, device_map=spread, attention=self.attention)


def loading_of(model: ModelOptions) -> Loading:
    """Return how a model of the configuration is loaded here; a missing flash-attn is said once.

    Raises:
        SstError: ``device_map`` is unknown, or not there.
    """
    key = f"models.{model.name}.device_map"
    if model.device_map not in SPREAD and not _DEVICE.fullmatch(model.device_map):
        raise SstError(
            f"{key}: got {model.device_map!r}, expected {', '.join(SPREAD)}, cpu, mps, cuda or cuda:N"
        )
    found = Loading(model.torch_dtype, model.device_map)
    try:
        require_device(found.device)
    except SstError as error:
        raise SstError(f"{key}: {str(error).removeprefix('--device ')}") from None
    if not model.use_flash_attention:
        return found
    reason = _without_flash(found)
    if reason:
        say(f"models.{model.name}.use_flash_attention: {reason}; PyTorch's own attention is used instead")
        return found
    return Loading(found.dtype, found.device_map, FLASH)


def _without_flash(loading: Loading) -> str | None:
    """Return why flash attention cannot be used, or None."""
    from transformers.utils.import_utils import is_flash_attn_2_available

    if not loading.device.startswith("cuda"):
        return "flash attention needs a GPU"
    if loading.dtype == "float32":
        return "flash attention needs torch_dtype float16 or bfloat16"
    return None if is_flash_attn_2_available() else "flash-attn is not installed (pip install flash-attn)"


@functools.cache
def say(line: str) -> None:
    """Print a line on stderr, once in this process."""
    print(f"sst-mergekit: {line}", file=sys.stderr)
