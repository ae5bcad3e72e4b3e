"""Rules on models, adapters and the cache of folded adapters, each broken in a copy of the tiny world."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from mergekit.common import ModelReference
from recipe_world import Raw, World, changed, faults_of, only
from safetensors.torch import load_file, save_file
from tiny import tiny_llama

from sst_mergekit.checkpoints import Header, headers, weight_files
from sst_mergekit.recipe.checkpoint import is_local, samples_differ
from sst_mergekit.recipe.model_rules import folded


def plain_lora(world: World) -> Raw:
    """Return a recipe of adapters that needs no statistics."""
    parameters = {"parameters": {"weight": 1.0}}
    models = [
        {"model": f"{world.path('base')}+{world.path(name)}"} | parameters for name in ("skill", "guard")
    ]
    return changed(world.ties(), {"models": models})


def _index(path: Path, places: dict[str, str]) -> None:
    (path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


MODELS = {
    "no directory": (lambda path: shutil.rmtree(path), "'.*utility': no such directory; put the model there"),
    "no config": (lambda path: (path / "config.json").unlink(), "'.*utility' holds no config.json"),
    "no weights": (
        lambda path: (path / "model.safetensors").unlink(),
        "'.*utility' holds no model.safetensors",
    ),
    "damaged": (
        lambda path: (path / "model.safetensors").write_bytes(b"\xff" * 9),
        "model.safetensors: not a readable safetensors file",
    ),
    "a shard gone": (
        lambda path: (path / "model.safetensors").unlink() or _index(path, {"a": "b.safetensors"}),
        "'.*utility' lacks b.safetensors, which its index",
    ),
    "a tensor gone": (
        lambda path: _index(path, {"a": "model.safetensors"}),
        r"'.*utility' lacks a \(1 in all\), which its index",
    ),
    "a stale file beside shards": (
        lambda path: _index(path, {"a": "b.safetensors"}),
        "holds model.safetensors and model.safetensors.index.json, .*remove the stale one",
    ),
    "a damaged index": (
        lambda path: (path / "model.safetensors.index.json").write_text("{}"),
        "model.safetensors.index.json: damaged",
    ),
}


@pytest.mark.parametrize(("damage", "pattern"), MODELS.values(), ids=MODELS)
def test_local_model_that_cannot_be_read(damage, pattern: str, copies: World, tmp_path: Path) -> None:
    damage(copies.root / "utility")
    only(faults_of(copies.ties(), tmp_path), r"^models\[0\].model: .*" + pattern)


def test_tilde_is_refused(world: World, tmp_path: Path) -> None:
    recipe = changed(world.ties(), {"models.1.model": "~/safety"})
    only(faults_of(recipe, tmp_path), r"^models\[1\].model: '~/safety': mergekit does not expand")


def test_pytorch_weights_are_left_to_mergekit(copies: World, tmp_path: Path) -> None:
    (copies.root / "utility" / "model.safetensors").rename(copies.root / "utility" / "pytorch_model.bin")
    assert faults_of(copies.ties(), tmp_path) == []


ADAPTERS = {
    "no directory": (lambda path: shutil.rmtree(path), "adapter '.*guard': no such directory"),
    "no configuration": (
        lambda path: (path / "adapter_config.json").unlink(),
        "holds no adapter_config.json",
    ),
    "no weights": (
        lambda path: (path / "adapter_model.safetensors").unlink(),
        "holds no adapter_model.safetensors",
    ),
    "damaged weights": (
        lambda path: (path / "adapter_model.safetensors").write_bytes(b"\xff" * 9),
        "adapter_model.safetensors: not a readable",
    ),
    "damaged configuration": (lambda path: (path / "adapter_config.json").write_text("{"), "json: damaged"),
}


@pytest.mark.parametrize(("damage", "pattern"), ADAPTERS.values(), ids=ADAPTERS)
def test_local_adapter_that_cannot_be_read(damage, pattern: str, copies: World, tmp_path: Path) -> None:
    damage(copies.root / "guard")
    faults = faults_of(plain_lora(copies), tmp_path, lora_merge_cache=tmp_path / "cache")
    only(faults, r"^models\[1\].model: .*" + pattern)


def test_adapter_of_another_base_is_refused(copies: World, tmp_path: Path) -> None:
    path = copies.root / "guard" / "adapter_config.json"
    config = json.loads(path.read_text()) | {"base_model_name_or_path": copies.path("safety")}
    path.write_text(json.dumps(config))
    faults = faults_of(plain_lora(copies), tmp_path, lora_merge_cache=tmp_path / "cache")
    only(faults, r"^models\[1\].model: adapter '.*guard' was made for '.*safety', not for '.*base'")


@pytest.mark.parametrize("made_for", ["user/model-on-the-hub", "", None, "COPY", "IN 16 BITS"])
def test_adapter_of_an_equal_or_unknown_base_passes(
    made_for: str | None, copies: World, tmp_path: Path
) -> None:
    if made_for in ("COPY", "IN 16 BITS"):
        copy = Path(shutil.copytree(copies.root / "base", tmp_path / "copy"))
        if made_for == "IN 16 BITS":
            in_bfloat16(copy)
        made_for = str(copy)
    path = copies.root / "guard" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": made_for}))
    assert faults_of(plain_lora(copies), tmp_path, lora_merge_cache=tmp_path / "cache") == []


def test_adapters_without_a_cache_are_a_warning(world: World, tmp_path: Path) -> None:
    faults = faults_of(plain_lora(world), tmp_path)
    only(faults, r"^models\[0\].model and 1 more: .*--lora-merge-cache DIR", warning=True)
    assert faults_of(plain_lora(world), tmp_path, lora_merge_cache=tmp_path) == []


def the_folder(world: World, cache: Path) -> Path:
    return folded(ModelReference.parse(f"{world.path('base')}+{world.path('guard')}"), cache)


def test_empty_folder_in_the_cache_is_named(world: World, tmp_path: Path) -> None:
    folder = the_folder(world, tmp_path)
    folder.mkdir()
    faults = faults_of(plain_lora(world), tmp_path, lora_merge_cache=tmp_path)
    only(faults, rf"^models\[1\].model: {folder} holds no config.json, left by a failed run; remove")


def test_stale_folder_in_the_cache_is_a_warning(world: World, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(world.root / "base", the_folder(world, tmp_path)))
    os.utime(folder / "config.json", (1, 1))
    faults = faults_of(plain_lora(world), tmp_path, lora_merge_cache=tmp_path)
    only(faults, rf"^models\[1\].model: {folder} is older than the adapter", warning=True)
    os.utime(folder / "config.json")
    assert faults_of(plain_lora(world), tmp_path, lora_merge_cache=tmp_path) == []


def test_cache_folder_is_mergekits_own(world: World, tmp_path: Path) -> None:
    reference = ModelReference.parse(f"{world.path('base')}+{world.path('guard')}")
    assert reference.merged(cache_dir=str(tmp_path)).model.path == str(folded(reference, tmp_path))


@pytest.mark.parametrize("offline", ["1", "0"])
def test_path_that_mergekit_takes_for_a_hub_name(
    offline: str, copies: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copies.root.parent)
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    recipe = changed(copies.ties(), {"models.0.model": "copies/utility"})
    expected = (
        r"^models\[0\].model: mergekit asks the Hub about 'copies/utility' .*; write './copies/utility'"
    )
    only(faults_of(recipe, tmp_path), expected, warning=offline == "0")
    assert faults_of(changed(recipe, {"models.0.model": "./copies/utility"}), tmp_path) == []


def test_models_of_other_shapes_are_refused(world: World, tmp_path: Path) -> None:
    wide = str(tiny_llama(tmp_path / "wide", 5, intermediate_size=32))
    recipe = changed(world.ties(), {"models.0.model": wide})
    only(faults_of(recipe, tmp_path), r"^models\[0\].model: .*mlp.* and 5 more of '.*wide': shape \[")


def test_another_vocabulary_needs_a_tokenizer_key(world: World, tmp_path: Path) -> None:
    large = str(tiny_llama(tmp_path / "large", 5, vocab_size=40))
    recipe = changed(world.ties(), {"models.0.model": large})
    only(
        faults_of(recipe, tmp_path),
        r"lm_head.weight and 1 more of '.*large': shape \[40, 16\], but \[32, 16\]",
    )
    assert faults_of(changed(recipe, {"tokenizer": {"source": "base"}}), tmp_path) == []


def in_bfloat16(directory: Path) -> None:
    path = directory / "model.safetensors"
    save_file({name: tensor.bfloat16() for name, tensor in load_file(path).items()}, path, {"format": "pt"})


def test_16_bit_differences_are_a_warning(copies: World, tmp_path: Path) -> None:
    recipe = copies.ties()
    only(
        faults_of(recipe | {"dtype": "bfloat16"}, tmp_path),
        "^dtype: got bfloat16; small differ",
        warning=True,
    )
    assert faults_of(changed(recipe, {"dtype": None}), tmp_path) == []  # the weights are float32
    in_bfloat16(copies.root / "safety")
    expected = "^dtype: missing, so the weights' own; small differences"
    only(faults_of(changed(recipe, {"dtype": None}), tmp_path), expected, warning=True)
    assert faults_of(recipe, tmp_path) == []
    linear = changed(recipe, {"merge_method": "linear", "dtype": "bfloat16", "parameters": {"weight": 1.0}})
    for item in linear["models"]:
        del item["parameters"]
    assert faults_of(linear, tmp_path) == []


def test_folding_in_16_bits_is_a_warning(copies: World, tmp_path: Path) -> None:
    in_bfloat16(copies.root / "base")
    faults = faults_of(plain_lora(copies), tmp_path, lora_merge_cache=tmp_path)
    only(faults, "^models: adapters are folded in the model's own dtype; give", warning=True)
    options = {"lora_merge_cache": tmp_path, "lora_merge_dtype": "float32"}
    assert faults_of(plain_lora(copies), tmp_path, **options) == []


@pytest.mark.parametrize("name", ["./a", "/a", "~/a", "../a/b", "a/b/c", "here/gone"])
def test_is_local(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    assert is_local(name)
    assert not is_local("gpt2")
    assert not is_local("user/model")


def test_headers_are_those_of_the_tensors(world: World) -> None:
    (path,) = weight_files(world.root / "base")
    expected = {name: Header(path, "F32", tuple(t.shape)) for name, t in load_file(path).items()}
    assert headers([path]) == expected


def test_samples_differ_in_the_first_middle_or_last_row(tmp_path: Path) -> None:
    def header(tensor: torch.Tensor, name: str) -> Header:
        save_file({"w": tensor}, tmp_path / name)
        return headers([tmp_path / name])["w"]

    zeros = header(torch.zeros(9, 2), "zeros")
    for row, expected in ((0, True), (4, True), (8, True), (2, False)):
        changed_row = torch.zeros(9, 2)
        changed_row[row] = 1
        assert samples_differ("w", zeros, header(changed_row, f"row{row}")) is expected
    assert not samples_differ("w", zeros, zeros)
    assert not samples_differ("w", zeros, header(torch.ones(9, 2).bfloat16(), "dtype"))
    assert samples_differ("w", header(torch.zeros(3), "a"), header(torch.ones(3), "b"))
