"""Statistics and merges on a GPU are those of the CPU: ``pytest -m gpu tests/cli/test_on_a_gpu.py``."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from sst_mergekit.cli import main
from sst_mergekit.statistics.store import open_statistics

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU"),
]
LAYER = "model.layers.1.mlp.down_proj.weight"


def run(*words: str) -> None:
    result = CliRunner().invoke(main, [*words, "--quiet"])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("kind", ["kronecker", "activation", "diagonal"])
@pytest.mark.parametrize("more", [[], ["--max-memory", "1GB"], ["--dtype", "bfloat16"]], ids=str)
def test_statistics(project: Path, kind: str, more: list[str]) -> None:
    found = {}
    for device in ("cpu", "cuda"):
        words = ["fisher", "--model", "safety", "--data", "data.jsonl", "--kind", kind, "--out", device]
        bound = more if device == "cuda" or "--max-memory" not in more else []
        run(*words, "--device", device, *bound)
        store = open_statistics(str(project / device))
        record = store.manifest.layers[LAYER]
        found[device] = store.tensors(record, tuple(record.tensors))
    rough = "bfloat16" in more
    for name, tensor in found["cpu"].items():
        gap = (found["cuda"][name] - tensor).norm() / tensor.norm()
        assert gap < (5e-2 if rough else 1e-3)


@pytest.mark.parametrize("recipe", ["sst.yml", "lora.yml"])
def test_merge(project: Path, recipe: str) -> None:
    for name, more in {"plain": [], "on-gpu": ["--cuda"]}.items():
        run("yaml", recipe, name, *more)
    plain, other = (load_file(project / name / "model.safetensors") for name in ("plain", "on-gpu"))
    for name, tensor in plain.items():
        torch.testing.assert_close(other[name], tensor, rtol=1e-3, atol=1e-5)
