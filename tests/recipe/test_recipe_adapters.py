"""Rules on what an adapter is on: tied weights, another vocabulary, another base, an embedding of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from peft import LoraConfig, get_peft_model
from recipe_world import World, changed, faults_of
from safetensors.torch import load_file, save_file
from tiny import tiny_llama
from transformers import AutoModelForCausalLM

from sst_mergekit.cli import main

WEIGHTS = "adapter_model.safetensors"


def saved(out: Path, base: str | Path, targets: list[str], **options) -> Path:
    model = AutoModelForCausalLM.from_pretrained(base)
    config = LoraConfig(r=2, init_lora_weights=False, target_modules=targets, **options)
    get_peft_model(model, config).save_pretrained(out)
    return out


def errors(world: World, tmp_path: Path, adapter: Path, base: str | None = None) -> list[str]:
    """Return the faults of a task-arithmetic merge of ``base+adapter``."""
    base = base or world.path("base")
    models = [{"model": f"{base}+{adapter}", "parameters": {"weight": 1.0}}]
    recipe = changed(world.ties(), {"models": models, "base_model": base, "merge_method": "task_arithmetic"})
    found = faults_of(recipe, tmp_path, lora_merge_cache=tmp_path / "cache", lora_merge_dtype="float32")
    return [str(fault) for fault in found if not fault.warning]


@pytest.mark.parametrize("target", ["embed_tokens", "lm_head"])
def test_tied_embeddings_are_refused(target: str, world: World, tmp_path: Path) -> None:
    tied = tiny_llama(tmp_path / "tied", 0, tie_word_embeddings=True)
    adapter = saved(tmp_path / "adapter", tied, ["q_proj", target])
    (fault,) = errors(world, tmp_path, adapter, str(tied))
    assert f"{target}, whose weight input and output share" in fault


def test_a_resized_vocabulary_is_refused(world: World, tmp_path: Path) -> None:
    wide = tiny_llama(tmp_path / "wide", 0, vocab_size=40)
    adapter = saved(tmp_path / "adapter", wide, ["q_proj", "lm_head"])
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": None}))
    (fault,) = errors(world, tmp_path, adapter)
    assert "lm_head" in fault
    assert "a resized vocabulary?" in fault


def test_an_embedding_that_peft_saves_unchanged_is_merged_and_a_changed_one_refused(
    world: World, tmp_path: Path
) -> None:
    adapter = saved(tmp_path / "adapter", world.path("base"), ["q_proj", "lm_head"])
    assert errors(world, tmp_path, adapter) == []
    models = [{"model": f"{world.path('base')}+{adapter}", "parameters": {"weight": 1.0}}]
    recipe = changed(world.ties(), {"models": models, "merge_method": "task_arithmetic"})
    faults_of(recipe, tmp_path)  # writes recipe.yml
    words = ["lora", str(tmp_path / "recipe.yml"), str(tmp_path / "out"), "--quiet"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert any("lm_head.lora_A" in name for name in load_file(tmp_path / "out" / WEIGHTS))
    tensors = load_file(adapter / WEIGHTS)
    tensors["base_model.model.lm_head.base_layer.weight"] += 1.0
    save_file(tensors, adapter / WEIGHTS)
    shutil.rmtree(tmp_path / "out")
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert "holds base_model.model.lm_head.base_layer.weight, which is no LoRA factor" in result.stderr


def test_an_adapter_of_another_hub_model_is_refused(
    copies: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copies.root / "guard" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": "org/other"}))
    (fault, *_) = errors(copies, tmp_path, copies.root / "guard", "org/this")
    assert "was trained on 'org/other', not on 'org/this'" in fault
    words = ["fisher", "--model", "org/this", "--adapter", copies.path("guard"), "--data", "x", "--out", "y"]
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", tokenizer(copies))
    words[words.index("x")] = str(copies.root / "data.jsonl")
    result = CliRunner().invoke(main, [*words[:-1], str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "was trained on 'org/other', not on 'org/this'" in result.stderr


def tokenizer(world: World):
    from transformers import AutoTokenizer

    found = AutoTokenizer.from_pretrained(world.path("base"))
    return lambda *_, **__: found


def test_experts_with_a_template_on_a_base_without_are_a_warning(copies: World, tmp_path: Path) -> None:
    (copies.root / "safety" / "chat_template.jinja").write_text("{{ messages }}")
    (fault,) = faults_of(copies.sst(), tmp_path)
    assert fault.warning
    assert "has a chat template, " in str(fault)
    assert "set 'chat_template: auto'" in str(fault)


def test_tensors_without_a_place_are_a_warning(copies: World, tmp_path: Path) -> None:
    path = copies.root / "utility" / "model.safetensors"
    save_file(load_file(path) | {"extra.weight": torch.ones(2)}, path, metadata={"format": "pt"})
    (fault,) = faults_of(copies.ties(), tmp_path)
    assert fault.warning
    assert "extra.weight of" in str(fault)
    assert "have no place in" in str(fault)


def test_buffers_that_old_files_hold_are_no_tensors_that_a_model_lacks(copies: World, tmp_path: Path) -> None:
    path = copies.root / "base" / "model.safetensors"
    buffers = {
        "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4),
        "model.layers.0.attn.bias": torch.ones(1, 1, 4, 4),
        "model.embeddings.position_ids": torch.arange(4),
    }
    save_file(load_file(path) | buffers, path, metadata={"format": "pt"})
    assert faults_of(copies.ties(), tmp_path) == []
