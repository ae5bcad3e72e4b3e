"""``sst-mergekit check``: exit codes, one line a fault, nothing read that is large."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from sst_mergekit.cli import main


def check(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["check", *arguments])


def test_recipe_without_fault(project: Path) -> None:
    result = check("sst.yml")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "sst.yml: OK\n", "")


def test_one_line_for_each_fault(project: Path) -> None:
    result = check("bad.yml")
    assert (result.exit_code, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [["error", "dtpye"], ["error", "parameters.strenght"]]


def test_adapters_without_a_cache_are_a_warning(project: Path) -> None:
    recipe = yaml.safe_load(Path("lora.yml").read_text())
    for model in recipe["models"]:
        model["parameters"] = {"weight": 1.0}
    Path("lora.yml").write_text(
        yaml.safe_dump(recipe | {"merge_method": "task_arithmetic", "parameters": {}})
    )
    result = check("lora.yml")
    assert result.exit_code == 0
    assert result.stderr.startswith(
        "warning: models[1].model: adapters are folded into a cache; give --lora-merge"
    )
    assert "'sst-mergekit yaml' makes a temporary one" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert check("lora.yml", "--lora-merge-cache", "cache").stderr == ""
    assert not Path("cache").exists()


def test_sst_needs_no_cache(project: Path) -> None:
    result = check("lora.yml")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "lora.yml: OK\n", "")


def test_warnings_leave_the_exit_code_0(project: Path) -> None:
    Path("sst.yml").write_text(Path("sst.yml").read_text().replace("dtype: float32", "dtype: bfloat16"))
    result = check("sst.yml")
    assert (result.exit_code, result.stdout) == (0, "sst.yml: OK\n")
    assert result.stderr.startswith("warning: dtype: got bfloat16; small differences")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("text", [None, "a: [", "- list"])
def test_unreadable_recipe(text: str | None, project: Path) -> None:
    if text:
        Path("new.yml").write_text(text)
    result = check("new.yml")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: new.yml: ")
    assert len(result.stderr.splitlines()) == 1


def large_model(path: Path) -> Path:
    """Return ``path`` with a model of 8 GB that takes no room: its file is a hole."""
    size = 4_000_000_000
    names = ("model.embed_tokens.weight", "lm_head.weight")
    header = {
        name: {"dtype": "F32", "shape": [1_000_000, 1000], "data_offsets": [size * i, size * (i + 1)]}
        for i, name in enumerate(names)
    }
    text = json.dumps(header).encode()
    path.mkdir()
    (path / "config.json").write_text("{}")
    with (path / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + 2 * size)
    return path


def test_large_models_are_checked_at_once(project: Path) -> None:
    text = Path("sst.yml").read_text()
    for name in ("base", "utility", "safety"):
        large_model(project / f"large-{name}")
        text = text.replace(f"{project}/{name}\n", f"{project}/large-{name}\n")
    Path("large.yml").write_text(text)
    start = time.process_time()
    result = check("large.yml")
    assert time.process_time() - start < 2
    assert "large-utility' is base_model itself" in result.stderr  # the holes are all alike
    assert "statistics of another shape for lm_head.weight and 1 more" in result.stderr


@pytest.mark.slow
def test_as_a_process(project: Path) -> None:
    command = [sys.executable, "-m", "sst_mergekit", "check"]
    good = subprocess.run([*command, "sst.yml"], capture_output=True, text=True, check=False)
    assert (good.returncode, good.stdout, good.stderr) == (0, "sst.yml: OK\n", "")
    bad = subprocess.run([*command, "bad.yml"], capture_output=True, text=True, check=False)
    assert (bad.returncode, bad.stdout, len(bad.stderr.splitlines())) == (2, "", 2)
