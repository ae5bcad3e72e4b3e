"""Random statistics of a Llama's shapes, in the form that `sst-mergekit fisher` writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from made_models import linear_shapes
from safetensors.torch import save_file
from torch import Tensor

from sst_mergekit.core.geometry import trace
from sst_mergekit.files import sha256
from sst_mergekit.statistics.manifest import FILE_NAME, LayerRecord, Manifest

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
SHARED = {"k_proj": "q_proj", "v_proj": "q_proj", "up_proj": "gate_proj"}  # who reads whose input
FILE = "statistics-00001-of-00001.safetensors"


def statistics(path: Path, sizes: Mapping[str, Any], kind: str, seed: int, ends: bool = True) -> Path:
    """Return ``path`` with statistics of kind ``diagonal`` or ``kronecker`` of all matrices.

    Args:
        path: a new directory.
        sizes: of the Llama.
        kind: of the statistics.
        seed: of the random numbers.
        ends: of the embedding and the output head too.
    """
    shapes = {f"{name}.weight": shape for name, shape in linear_shapes(sizes).items()}
    if ends:
        shapes[EMBEDDING] = (sizes["hidden_size"], sizes["vocab_size"])
        shapes[HEAD] = (sizes["vocab_size"], sizes["hidden_size"])
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}
    layers = {}
    for name, shape in shapes.items():
        found = {"diagonal": name} if kind == "diagonal" else {"input": _owner(name), "output": name}
        for slot, at in found.items():
            if f"{at}.{slot}" not in tensors:
                tensors[f"{at}.{slot}"] = _made(slot, name, shape, generator)
        keys = {slot: f"{at}.{slot}" for slot, at in found.items()}
        traces = {slot: trace(slot, tensors[key]) for slot, key in keys.items()}
        layers[name] = LayerRecord(shape, name == EMBEDDING, keys, traces)
    path.mkdir(parents=True)
    save_file(tensors, path / FILE)
    manifest = Manifest(
        kind=kind,
        model={"id": "made", "revision": None, "weights": None},
        adapter=None,
        data={},
        labels="given",
        form={},
        seed=seed,
        dtype="float32",
        versions={},
        layers=layers,
        skipped={},
        weight_map=dict.fromkeys(tensors, FILE),
        files={FILE: sha256(path / FILE)},
    )
    (path / FILE_NAME).write_text(manifest.to_json(), encoding="utf-8")
    return path


def _owner(name: str) -> str:
    stem, _, last = name.removesuffix(".weight").rpartition(".")
    return f"{stem}.{SHARED[last]}.weight" if last in SHARED else name


def _made(slot: str, name: str, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    if slot == "diagonal":
        return torch.rand(shape, generator=generator).square_()
    size = shape[0] if slot == "output" else shape[1]
    if (name, slot) in ((HEAD, "output"), (EMBEDDING, "input")):
        return torch.rand(size, generator=generator)
    return _moment(size, generator)


def _moment(size: int, generator: torch.Generator) -> Tensor:
    """Return a second moment [n, n] of rank n / 2 with eigenvalues over four orders of magnitude."""
    rows = torch.randn(size // 2, size, generator=generator)
    rows *= torch.logspace(0, -2, size // 2)[:, None]
    return rows.T @ rows / size
