"""Knowing a model by its weights, in seconds: a hash over a sample of every tensor."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

from sst_mergekit.checkpoints import weight_files
from sst_mergekit.errors import StatisticsError
from sst_mergekit.files import expanded

_SAMPLE = 512  # bytes read at the start, middle and end of each tensor


def weights_fingerprint(directory: Path) -> str | None:
    """Return a SHA-256 over names, dtypes, shapes and sampled bytes of all safetensors weights.

    512 bytes at the start, middle and end of each tensor are read, so a 14B model takes well
    under a second; training changes every weight, so a fine-tune differs from its base. How the
    tensors are split into files does not matter, nor do files that are no part of the checkpoint.
    None when the directory has no safetensors.

    Raises:
        SstError: a file is damaged or not there.
    """
    lines = [line for path in weight_files(directory) for line in _tensor_lines(path)]
    if not lines:
        return None
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _tensor_lines(path: Path) -> list[str]:
    lines = []
    if not path.is_file():
        raise StatisticsError(f"{path.parent}: index names {path.name}, which is not there; copy it again")
    try:
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            header: dict[str, Any] = json.loads(file.read(size))
            for name, entry in header.items():
                if name == "__metadata__":
                    continue
                begin, end = entry["data_offsets"]
                digest = hashlib.sha256()
                for offset in (begin, (begin + end) // 2, max(begin, end - _SAMPLE)):
                    file.seek(8 + size + offset)
                    digest.update(file.read(min(_SAMPLE, end - offset)))
                lines.append(f"{name} {entry['dtype']} {entry['shape']} {digest.hexdigest()}")
    except (
        struct.error,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        MemoryError,
        OverflowError,
    ) as error:
        raise StatisticsError(f"{path}: not a readable safetensors file ({error})") from None
    return lines


def local_directory(model: str, revision: str | None = None) -> Path | None:
    """Return where the files of a model are on this machine, or None; nothing is downloaded."""
    path = expanded(model)
    if path.is_dir():
        return path
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    for name in ("config.json", "adapter_config.json"):
        try:
            found = try_to_load_from_cache(model, name, revision=revision)
        except HFValidationError:
            return None
        if isinstance(found, str):
            return Path(found).parent
    return None


def identity(model: str, revision: str | None) -> dict[str, Any]:
    """Return the manifest entry of a model or adapter: id, revision and weights fingerprint."""
    directory = local_directory(model, revision)
    return {
        "id": model,
        "revision": revision,
        "weights": weights_fingerprint(directory) if directory else None,
    }
