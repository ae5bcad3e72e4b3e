"""The packages that are built once for these tests, and tiny models to merge."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fresh_environment import copy_of_the_sources

# Files that the copy's data folders get: one of each kind that a package must carry, and one it must not.
PLANTED = (
    "lm_eval_tasks/planted/task.yaml",
    "lm_eval_tasks/planted/_template",
    "lm_eval_tasks/planted/rows.jsonl",
    "lm_eval_tasks/planted/utils.py",
    "lm_eval_tasks/planted/README.md",
    "merge_configs/deep/down/recipe.yml",
)
JUNK = "lm_eval_tasks/planted/weights.bin"


@pytest.fixture(scope="session")
def junk() -> str:
    return JUNK


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_of_the_sources(tmp_path_factory.mktemp("build") / "sources")
    for name in (*PLANTED, JUNK):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    return folder


def _build(kind: str, sources: Path) -> Path:
    out = sources.parent / kind
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(out)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=sources, check=True, capture_output=True)
    return next(out.iterdir())


@pytest.fixture(scope="session")
def wheel(sources: Path) -> Path:
    return _build("wheel", sources)


@pytest.fixture(scope="session")
def sdist(sources: Path) -> Path:
    return _build("sdist", sources)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A base, a skilled model, and a careful one: the base with half of one added to its last norm."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("models")
    sizes = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    for name, seed in (("base", 0), ("skilled", 1), ("careful", 0)):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(LlamaConfig(vocab_size=32, **sizes))
        model.model.norm.weight.data += 0.5 * (name == "careful")
        model.save_pretrained(folder / name)
    return {name: str(folder / name) for name in ("base", "skilled", "careful")}
