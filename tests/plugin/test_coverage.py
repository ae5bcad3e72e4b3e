"""What a merge says it did to the patches: by the commands, in the card, and where it did too little."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from tiny import tiny_adapter, tiny_data, tiny_llama, tiny_statistics

from sst_mergekit.cli import main
from sst_mergekit.plugin.coverage import EQUAL, FILTERED, KEPT, WHOLE, Coverage, note, recorded

NORM, WEIGHTS = "model.norm.weight", "model.safetensors"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, two experts made from it whose every matrix and last norm differ, and their statistics."""
    folder = tmp_path_factory.mktemp("coverage")
    base, data = tiny_llama(folder / "base", 0), tiny_data(folder / "data.jsonl")
    for seed, name in enumerate(("utility", "safety"), 1):
        tensors = load_file(tiny_llama(folder / name, seed) / WEIGHTS)
        tensors[NORM] += 3.0 * seed
        save_file(tensors, folder / name / WEIGHTS, metadata={"format": "pt"})
        tiny_statistics(folder / f"fisher-{name}", folder / name, data)
    for seed, name in enumerate(("skill", "guard"), 5):
        tiny_adapter(folder / name, base, seed)
        tiny_statistics(folder / f"fisher-{name}", base, data, adapter=folder / name)
    return folder


def written(world: Path, out: Path, names: tuple[str, str] = ("utility", "safety"), **parameters) -> Path:
    """Return the path of a recipe of full models, or of adapters."""
    models = [
        {
            "model": f"{world}/{name}"
            if name[0] in "us" and name != "skill"
            else f"{world}/base+{world}/{name}",
            "parameters": {"role": role, "fisher": f"{world}/fisher-{name}"},
        }
        for name, role in zip(names, ("utility", "safety"), strict=True)
    ]
    body = {"merge_method": "sst", "base_model": f"{world}/base", "models": models, "dtype": "float32"}
    path = out.with_suffix(".yml")
    path.write_text(yaml.safe_dump(body | {"parameters": parameters}))
    return path


def run(*words: object, status: int = 0) -> str:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == status, (result.output, result.exception)
    return result.output


def test_a_merge_tells_the_fate_of_every_weight_and_so_does_its_card(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = run("yaml", written(world, out, on_missing="keep", min_coverage=0.999), out)
    patch = {
        n: t - load_file(world / "base" / WEIGHTS)[n]
        for n, t in load_file(world / "safety" / WEIGHTS).items()
    }
    norms = {name: float(change.square().sum()) for name, change in patch.items()}
    share = norms[NORM] / sum(norms.values())
    kept = f"1 kept as the utility expert's ({share:.1%} of the patch's squared norm)"
    for text in (said, (out / "README.md").read_text()):
        assert "21 weights: 16 filtered" in text
        assert kept in text
        assert "4 equal to the utility expert" in text
        assert f"min_coverage: {1 - share:.2f} of the patch's squared norm is merged, 0.999 wanted" in text


def test_stock_mergekit_tells_it_too(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [
        str(Path(sys.executable).parent / "mergekit-yaml"),
        written(world, out, on_missing="keep"),
        out,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "21 weights: 16 filtered" in done.stderr
    assert "What was merged" in (out / "README.md").read_text()


def test_what_has_no_statistics_can_be_added_whole(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = run("yaml", written(world, out, on_missing="add", strength=0.5), out)
    assert "1 added whole" in said
    base, utility, safety, merged = (
        load_file(folder / WEIGHTS)[NORM]
        for folder in (world / "base", world / "utility", world / "safety", out)
    )
    assert merged.allclose(utility + 0.5 * (safety - base))


@pytest.mark.parametrize("command", ["yaml", "lora"])
def test_an_expert_that_is_the_base_is_refused(world: Path, tmp_path: Path, command: str) -> None:
    out = tmp_path / "out"
    copy = shutil.copytree(world / "guard", tmp_path / "guard")
    found = {n: t * ("lora_A" in n) for n, t in load_file(copy / "adapter_model.safetensors").items()}
    save_file(found, copy / "adapter_model.safetensors")
    recipe = written(world, out, ("skill", "guard"))
    recipe.write_text(recipe.read_text().replace(f"{world}/guard", str(copy)))
    assert "nothing was added (" in run(command, recipe, out, "--no-check", status=2)
    assert not out.exists()


def test_an_adapter_and_a_refit_tell_it(world: Path, tmp_path: Path) -> None:
    out, recipe = tmp_path / "out", written(world, tmp_path / "out", ("skill", "guard"))
    coverage = json.loads(CliRunner().invoke(main, ["lora", str(recipe), str(out), "--json"]).stdout)[
        "coverage"
    ]
    assert set(coverage["fates"].values()) == {FILTERED}
    assert "4 filtered (100.0% of the patch's squared norm)" in (out / "README.md").read_text()
    rows = ["--harm", world / "data.jsonl", "--benign", world / "data.jsonl", "--held-out", 0.4, "--steps", 1]
    patch = ["--patch", world / "base", world / "safety", "--rank", 2]
    said = run("refit", "--model", world / "utility", *patch, *rows, "--out", tmp_path / "refitted")
    assert "patch: 17 weights: 14 added whole" in said
    assert "3 kept as the utility expert's" in said  # the embedding, the head and the norm


def test_what_changes_more_is_the_fate_and_energies_add_up() -> None:
    with recorded() as outer, recorded() as found:
        for fate, energy in ((EQUAL, 0.0), (KEPT, 1.0), (FILTERED, 2.0)):
            note("a", fate, energy)
        note("b", WHOLE, 1.0)
    assert found.fates == outer.fates == {"a": FILTERED, "b": WHOLE}
    assert found.share == 0.75
    note("c", KEPT, 1.0)
    assert "c" not in found.fates
    assert Coverage().share is None


def test_a_refused_merge_leaves_what_was_in_the_folder(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    save_file({"mine": torch.ones(1)}, out / "adapter_model.safetensors")
    command = [str(Path(sys.executable).parent / "mergekit-yaml"), written(world, out, strength=0.0), out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "nothing was added" in done.stderr
    assert [path.name for path in out.glob("*.safetensors*")] == ["adapter_model.safetensors"]
