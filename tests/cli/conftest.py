from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from tiny import tiny_adapter, tiny_data, tiny_llama, tiny_statistics


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with tiny models base, utility and safety, an adapter, and their statistics."""
    root = tmp_path_factory.mktemp("originals")
    for seed, name in enumerate(("base", "utility", "safety")):
        tiny_llama(root / name, seed)
    tiny_adapter(root / "guard", root / "base", 3)
    data = tiny_data(root / "data.jsonl")
    for name in ("utility", "safety"):
        tiny_statistics(root / f"fisher-{name}", root / name, data)
    tiny_statistics(root / "fisher-guard", root / "base", data, adapter=root / "guard")
    return root


@pytest.fixture
def project(originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory: copies of the tiny models, and ``sst.yml``, ``lora.yml``, ``bad.yml``."""
    root = Path(shutil.copytree(originals, tmp_path / "project"))
    monkeypatch.chdir(root)
    write("sst.yml", recipe(root))
    lora = recipe(root, safety=f"{root}/base+{root}/guard", fisher="fisher-guard")
    write("lora.yml", lora)
    bad = recipe(root)
    bad["dtpye"] = bad["parameters"]["strenght"] = 1
    write("bad.yml", bad)
    return root


def recipe(root: Path, safety: str = "", fisher: str = "fisher-safety") -> dict:
    """Return a recipe without a fault."""
    utility = {"role": "utility", "fisher": f"{root}/fisher-utility"}
    harm = {"role": "safety", "fisher": f"{root}/{fisher}"}
    return {
        "merge_method": "sst",
        "base_model": f"{root}/base",
        "models": [
            {"model": f"{root}/utility", "parameters": utility},
            {"model": safety or f"{root}/safety", "parameters": harm},
        ],
        "parameters": {"strength": 0.7},
        "dtype": "float32",
    }


def write(name: str, value: dict) -> None:
    Path(name).write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")
