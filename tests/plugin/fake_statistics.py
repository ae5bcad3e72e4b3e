"""Random statistics of one layer, written as `sst-mergekit fisher` writes them."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from sst_mergekit.core.geometry import trace
from sst_mergekit.core.settings import TRACED
from sst_mergekit.files import sha256
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
        f"{name}.scores": torch.randn(40, shape[0] * shape[1], generator=generator),
    }
    traces = {slot: trace(slot, tensors[f"{name}.{slot}"]) for slot in TRACED}
    for slot, size, number in (("left", shape[0], 5), ("right", shape[1], 6)):  # the same in all statistics
        square = torch.randn(size, size, generator=torch.Generator().manual_seed(number))
        tensors[f"{name}.{slot}"] = torch.linalg.qr(square).Q.contiguous()
    directory.mkdir(parents=True)
    file = directory / "statistics-00001-of-00001.safetensors"
    save_file(tensors, file)
    layer = {
        "shape": list(shape),
        "transposed": transposed,
        "tensors": {key.removeprefix(f"{name}."): key for key in tensors},
        "traces": traces,
    }
    manifest = {
        "format": FORMAT,
        "format_version": VERSION,
        "kind": "kronecker",
        "model": {"id": "m", "revision": None, "weights": None},
        "adapter": None,
        "data": {},
        "labels": "given",
        "form": {},
        "seed": 0,
        "dtype": "float32",
        "versions": {},
        "layers": {name: layer},
        "skipped": {},
        "weight_map": dict.fromkeys(tensors, file.name),
        "files": {file.name: sha256(file)},
    }
    (directory / "manifest.json").write_text(json.dumps(manifest))
    return str(directory)


def edit(directory: Path | str, **changes: object) -> None:
    """Change entries of the manifest."""
    path = Path(directory) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def seal(directory: Path | str) -> None:
    """Write the hashes of the files into the manifest, after a test has changed them."""
    path = Path(directory) / "manifest.json"
    body = json.loads(path.read_text())
    body["files"] = {file.name: sha256(file) for file in Path(directory).glob("*.safetensors")}
    path.write_text(json.dumps(body))
