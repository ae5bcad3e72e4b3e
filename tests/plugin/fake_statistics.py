"""Random statistics of one layer, written as `sst-mergekit fisher` writes them."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from sst_mergekit.statistics.manifest import FORMAT, VERSION

NAME = "model.layers.0.mlp.up_proj.weight"
OUT, IN = 6, 5


def write_statistics(directory: Path, seed: int, name: str = NAME, shape=(OUT, IN), transposed=False) -> str:
    """Statistics of all slots for one layer, in the format that `sst-mergekit fisher` writes."""
    generator = torch.Generator().manual_seed(seed)

    def moment(n):
        rows = torch.randn(3 * n, n, generator=generator)
        return rows.T @ rows / n

    tensors = {
        f"{name}.input": moment(shape[1]),
        f"{name}.output": moment(shape[0]),
        f"{name}.diagonal": torch.rand(shape, generator=generator),
    }
    traces = {slot: float(tensors[f"{name}.{slot}"].trace()) for slot in ("input", "output")}
    traces["diagonal"] = float(tensors[f"{name}.diagonal"].sum())
    directory.mkdir(parents=True)
    save_file(tensors, directory / "statistics-00001-of-00001.safetensors")
    layer = {
        "shape": list(shape),
        "transposed": transposed,
        "tensors": {slot: f"{name}.{slot}" for slot in traces},
        "traces": traces,
    }
    manifest = {
        "format": FORMAT,
        "format_version": VERSION,
        "kind": "all",
        "model": {"id": "m", "revision": None, "weights": None},
        "adapter": None,
        "data": {},
        "labels": "given",
        "seed": 0,
        "dtype": "float32",
        "versions": {},
        "layers": {name: layer},
        "skipped": {},
        "weight_map": dict.fromkeys(tensors, "statistics-00001-of-00001.safetensors"),
        "files": {},
    }
    (directory / "manifest.json").write_text(json.dumps(manifest))
    return str(directory)
