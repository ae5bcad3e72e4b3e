"""Which files a checkpoint is made of, and what their headers and its configuration tell.

The index of shards decides, as it does for mergekit; a folder in which transformers and mergekit would read
different files is refused.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from sst_mergekit.errors import SstError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
CONFIG = "config.json"
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
ADAPTER, PICKLED_ADAPTER = "adapter_model.safetensors", "adapter_model.bin"
ADAPTER_CONFIG = "adapter_config.json"
DEQUANTIZE = (
    "load it in transformers, call .dequantize() and save_pretrained, or name the original in 16 bits"
)
# Tensors that hold weights, and the dtypes in which a number is the weight itself.
_WEIGHT_NAMES = ("weight", "weight_packed", "_blocks", "_proj")
_PLAIN = ("F64", "F32", "F16", "BF16")


@dataclass(frozen=True)
class Header:
    """One tensor of a safetensors file: where it is, its dtype (``F32``, ``BF16``) and shape."""

    file: Path
    dtype: str
    shape: tuple[int, ...]


def is_parameter(name: str, header: Header) -> bool:
    """Return whether a tensor is one that training changes: no table of rotations, positions or a mask.

    Old checkpoints hold such buffers (``rotary_emb.inv_freq``; GPT-2's ``attn.bias``, a mask of four axes),
    and new ones of the same model do not. Nor need a head be there: its embedding may be tied to it.
    """
    if name.endswith(("inv_freq", "position_ids", "masked_bias", "lm_head.weight")):
        return False
    return not (name.endswith(".bias") and len(header.shape) > 2)


def weight_files(directory: Path) -> list[Path]:
    """Return the safetensors files of a model or adapter, there or not; none where they are .bin files.

    Raises:
        SstError: the index is damaged, or a stale file stands beside it that transformers would read.
    """
    index, single = directory / INDEX, directory / SINGLE
    if not index.is_file():
        return [path for path in (single, directory / ADAPTER) if path.is_file()][:1]
    names = set(weight_map(index).values())
    if single.is_file() and SINGLE not in names:
        raise SstError(
            f"{directory}: holds {SINGLE} and {INDEX}, which does not name it; transformers reads the one, "
            "mergekit the other: remove the stale one"
        )
    return [directory / name for name in sorted(names)]


def weight_map(index: Path) -> dict[str, str]:
    """Return tensor -> file of an index of shards.

    Raises:
        SstError: it is damaged.
    """
    try:
        found = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        if not all(isinstance(text, str) for item in found.items() for text in item):
            raise TypeError("weight_map must map names to names")
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise SstError(f"{index}: damaged ({error!r}); copy the model again") from None
    return found


def lacking(directory: Path) -> str | None:
    """Return what keeps a model in `directory` from being read, or None.

    Raises:
        SstError: a file, or the index of shards, is damaged.
    """
    if not (directory / CONFIG).is_file():
        return f"holds no {CONFIG}"
    if not any((directory / name).is_file() for name in (SINGLE, INDEX, *PICKLED)):
        return f"holds no {SINGLE} (nor its index of shards)"
    files = weight_files(directory)
    gone = [path.name for path in files if not path.is_file()]
    if gone:
        return f"lacks {gone[0]}, which its index of shards names"
    held = headers(files)
    if (directory / INDEX).is_file():
        lost = sorted(set(weight_map(directory / INDEX)) - set(held))
        if lost:
            return f"lacks {lost[0]} ({len(lost)} in all), which its index of shards names"
    return None


def headers(files: list[Path]) -> dict[str, Header]:
    """Return name -> header of all tensors in some safetensors files.

    Raises:
        SstError: a file is damaged.
    """
    return {name: header for path in files for name, header in _headers(path, path.stat().st_mtime_ns)}


@functools.lru_cache(maxsize=512)
def _headers(path: Path, stamp: int) -> tuple[tuple[str, Header], ...]:
    try:
        with safe_open(path, framework="pt") as file:
            return tuple(_read(path, file))
    except (SafetensorError, OSError) as error:
        raise SstError(f"{path}: not a readable safetensors file ({error}); copy it again") from None


def _read(path: Path, file: safe_open) -> Iterator[tuple[str, Header]]:
    for name in file.keys():  # noqa: SIM118  (not a mapping)
        tensor = file.get_slice(name)
        yield name, Header(path, tensor.get_dtype(), tuple(tensor.get_shape()))


def quantised(directory: Path) -> str | None:
    """Return how a model's weights are quantised, by its configuration or their dtypes; or None.

    Numbers in such tensors are no weights until their scales are applied.

    Raises:
        SstError: a file is damaged.
    """
    named = quantisation(_config(directory))
    if named:
        return named
    for name, header in headers([path for path in weight_files(directory) if path.is_file()]).items():
        if header.dtype not in _PLAIN and name.endswith(_WEIGHT_NAMES):
            return f"{name} is {header.dtype}"
    return None


def quantisation(config: Any) -> str | None:
    """Return what a model's configuration says of its quantisation, or None."""
    for part in (config, _get(config, "text_config")):
        found = _get(part, "quantization_config")
        if found:
            return f"quantization_config: {_get(found, 'quant_method') or 'unnamed'}"
    return None


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else getattr(value, key, None)


def _config(directory: Path) -> dict[str, Any]:
    try:
        found = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}  # whoever loads the model says so
    return found if isinstance(found, dict) else {}
