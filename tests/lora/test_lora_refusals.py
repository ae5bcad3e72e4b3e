"""What is refused: one line, exit code 2, and nothing at OUT."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from lora_world import Raw, World, lora
from safetensors.torch import load_file, save_file
from tiny import tiny_llama

import sst_mergekit.adapters.merging as merging


def refused(recipe: Raw, out: Path, text: str, *options: str) -> None:
    """The command says one line with ``text`` and leaves nothing at ``out``."""
    result = lora(recipe, out, *options)
    assert result.exit_code == 2, (result.output, result.exception)
    lines = result.stderr.splitlines()
    assert len(lines) == 1, lines
    assert re.search(text, lines[0]), lines[0]
    assert "error: " in lines[0]
    assert [path.name for path in out.parent.iterdir() if "out" in path.name] == [f"{out.name}.yml"]


def copied(world: World, tmp_path: Path, name: str = "guard") -> tuple[Raw, Path]:
    """Return a recipe whose second adapter is a copy, and the copy."""
    copy = Path(shutil.copytree(world.root / name, tmp_path / "copy"))
    recipe = world.weighted("task_arithmetic", {"skill": 1.0, name: 1.0})
    recipe["models"][1]["model"] = f"{world.base}+{copy}"
    return recipe, copy


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"use_dora": True}, "copy: use_dora is set; DoRA rescales"),
        ({"bias": "all"}, "copy: bias is 'all'; trained biases"),
        ({"modules_to_save": ["lm_head"]}, "copy: modules_to_save is set"),
        ({"peft_type": "IA3"}, "copy: peft_type is 'IA3', only LORA"),
        ({"lora_bias": True}, "copy: lora_bias is set"),
        ({"trainable_token_indices": [1]}, "copy: trainable_token_indices is set"),
        ({"target_parameters": ["w"]}, "copy: target_parameters is set"),
        ({"layer_replication": [[0, 1]]}, "copy: layer_replication is set"),
        ({"something_new": {"a": 1}}, "copy: something_new is set"),
        ({"init_lora_weights": "pissa"}, "copy: init_lora_weights is 'pissa'.*path_initial_model"),
        ({"r": 0}, "copy: r is 0 for model.layers.0.mlp.down_proj"),
        ({"lora_alpha": None}, "copy: lora_alpha is None for model.layers.0.mlp.down_proj"),
        ({"r": 5}, r"copy: the factors of .*down_proj are \[4, 24\] and \[16, 4\], but .* says rank 5"),
    ],
)
def test_more_than_plain_lora(world: World, change: Raw, text: str, tmp_path: Path) -> None:
    recipe, copy = copied(world, tmp_path)
    config = json.loads((copy / "adapter_config.json").read_text())
    (copy / "adapter_config.json").write_text(json.dumps(config | change))
    refused(recipe, tmp_path / "out", text)


def keep(tensors: dict) -> dict:
    """Return what is left of an adapter without its first factor."""
    return dict(sorted(tensors.items())[1:])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda t: t | {"base_model.model.lm_head.weight": torch.ones(2, 2)},
            "holds base_model.*lm_head.weight",
        ),
        (lambda t: t | {"base_model.model.x.lora_A.weight": torch.ones(2, 2, 2)}, "holds .*x.lora_A.weight"),
        (keep, "copy: model.layers.0.mlp.down_proj has only factor B"),
        (lambda t: {k: v / 0 for k, v in t.items()}, "the factors of .*down_proj are not finite"),
        (
            lambda t: {k.replace("layers.1", "layers.7"): v for k, v in t.items()},
            "copy: is on model.layers.7.* which is no layer of .*base'",
        ),
        (
            lambda t: {k: torch.ones(4, 9) if "q_proj.lora_A" in k else v for k, v in t.items()},
            r"models: .*0.self_attn.q_proj is \[16, 16\] in '.*skill', \[16, 9\] in '.*copy'",
        ),
        (lambda t: {}, "models: the merged adapter changes nothing"),
    ],
)
def test_damaged_or_foreign_factors(world: World, change: Any, text: str, tmp_path: Path) -> None:
    recipe, copy = copied(world, tmp_path)
    if "changes nothing" in text:
        recipe["models"][0]["parameters"]["weight"] = 0.0
    path = copy / "adapter_model.safetensors"
    save_file(change(load_file(path)), path)
    refused(recipe, tmp_path / "out", text, "--no-check")


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_missing_and_damaged_files(world: World, name: str, tmp_path: Path) -> None:
    recipe, copy = copied(world, tmp_path)
    (copy / name).write_text("{")
    refused(recipe, tmp_path / "out", rf"copy/{name}: .*save the adapter again", "--no-check")
    (copy / name).unlink()
    refused(recipe, tmp_path / "out", f"copy: holds no {name}", "--no-check")
    shutil.rmtree(copy)
    refused(recipe, tmp_path / "out", "copy: neither a local directory nor a Hub repo", "--no-check")


@pytest.mark.parametrize("method", ["ties", "dare_ties", "dare_linear", "della", "breadcrumbs", "slerp"])
def test_methods_whose_result_is_not_low_rank(world: World, method: str, tmp_path: Path) -> None:
    recipe = world.weighted(method, {"skill": 1.0, "guard": 1.0})
    text = f"merge_method: the result of {method} is not low-rank .*sst-mergekit yaml.*mergekit-extract-lora"
    refused(recipe, tmp_path / "out", text)


def test_full_models_and_other_bases(world: World, tmp_path: Path) -> None:
    tiny_llama(tmp_path / "full", 3)
    recipe = world.sst()
    recipe["models"][0]["model"] = str(tmp_path / "full")
    text = r"models\[0\].model: '.*full' is a full model, expected .*sst-mergekit yaml"
    refused(recipe, tmp_path / "out", text, "--no-check")
    recipe["models"][0]["model"] = f"{tmp_path / 'full'}+{world.root / 'skill'}"
    text = r"models\[0\].model: its adapter is on '.*full', not on '.*base'"
    refused(recipe, tmp_path / "out", text, "--no-check")
    recipe = world.sst()
    recipe["base_model"] = f"{world.base}+{world.root / 'second'}"
    refused(recipe, tmp_path / "out", "base_model: .* has an adapter itself", "--no-check")
    recipe = world.recipe("linear", [{"model": str(world.base), "parameters": {"weight": 1.0}}])
    refused(recipe, tmp_path / "out", r"models: got no base\+adapter", "--no-check")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"tokenizer_source": "union"}, "tokenizer_source: an adapter carries no tokenizer"),
        ({"chat_template": "chatml"}, "chat_template: an adapter carries no tokenizer"),
        ({"models": None, "slices": [{"sources": []}]}, "slices: an adapter is merged on the whole base"),
        ({"base_model": "./nowhere", "models": []}, "models: got no base.adapter"),
    ],
)
def test_forms_of_recipe(world: World, change: Raw, text: str, tmp_path: Path) -> None:
    refused(world.sst() | change, tmp_path / "out", text, "--no-check")


def test_adapters_trained_on_another_hub_model(world: World, tmp_path: Path) -> None:
    recipe, copy = copied(world, tmp_path)
    config = json.loads((copy / "adapter_config.json").read_text())
    text = json.dumps(recipe).replace(f"{world.base}", "user/Tiny")
    recipe = json.loads(text)
    for name, said in (
        ("other/Large", "was trained on 'other/Large', not on 'user/Tiny'"),
        ("b/tiny", "the config.json of"),
    ):
        config["base_model_name_or_path"] = name
        (copy / "adapter_config.json").write_text(json.dumps(config))
        refused(recipe, tmp_path / "out", said, "--no-check")


def test_configuration_of_the_base(world: World, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    recipe = json.loads(
        json.dumps(world.weighted("linear", {"skill": 1.0})).replace(str(world.base), f"{tmp_path}/base")
    )
    refused(recipe, tmp_path / "out", "base_model: the config.json of '.*base' cannot be read", "--no-check")


@pytest.mark.parametrize(
    ("recipe", "text"),
    [
        (
            lambda w: w.weighted("linear", {"skill": 1.0, "guard": -1.0}, weight=0.0),
            "sum to 0; linear divides",
        ),
        (
            lambda w: w.weighted("linear", {"skill": 0.7, "guard": 0.7}, weight=0.0, normalize=False),
            "sum to 1.4",
        ),
        (lambda w: w.sst(patch="interpolate", strength=1.5), "strength: got 1.5, expected 0 to 1"),
        (lambda w: w.weighted("linear", {"skill": 1.0, "guard": 1.0}), "base_model: is merged like a model"),
    ],
)
def test_numbers_that_no_adapter_has(world: World, recipe: Any, text: str, tmp_path: Path) -> None:
    refused(recipe(world), tmp_path / "out", text)


def test_one_expert_of_each_role(world: World, tmp_path: Path) -> None:
    recipe = world.sst(("skill", "guard"))
    recipe["models"][1]["parameters"]["role"] = "utility"
    refused(
        recipe,
        tmp_path / "out",
        "models: .* at least one 'role: utility'",
        "--no-check",
    )
    refused(world.sst(("skill",)), tmp_path / "out", "sst: mergekit refuses .*at least 2", "--no-check")


def test_gradients_off_the_adapters_layers_count_too(world: World, tmp_path: Path) -> None:
    """The base's norms would be scaled: the weights there sum to 1.1."""
    by_name = [{"value": 0.5, "filter": "proj"}, {"value": 0.6}]
    recipe = world.weighted("linear", {"skill": by_name, "guard": 0.5}, weight=0.0, normalize=False)
    refused(recipe, tmp_path / "out", "the weights for model.embed_tokens.weight sum to 1.1")


@pytest.mark.parametrize("options", [(), ("--no-check",)])
def test_layers_without_statistics(world: World, options: tuple[str, ...], tmp_path: Path) -> None:
    fisher = Path(shutil.copytree(world.root / "fisher-guard", tmp_path / "fisher"))
    body = json.loads((fisher / "manifest.json").read_text())
    del body["layers"]["model.layers.0.self_attn.v_proj.weight"]
    (fisher / "manifest.json").write_text(json.dumps(body))
    recipe = world.sst()
    recipe["models"][1]["parameters"]["fisher"] = str(fisher)
    refused(recipe, tmp_path / "out", "v_proj.weight.*'?(parameters.)?on_missing: add'.* or 'keep'", *options)


def test_existing_output_needs_force(world: World, tmp_path: Path) -> None:
    kept = tmp_path / "out" / "mine.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    result = lora(world.sst(), tmp_path / "out")
    assert result.exit_code == 2
    assert "exists; choose another place" in result.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]
    assert lora(world.sst(), tmp_path / "out", "--force").exit_code == 0
    assert not kept.exists()


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyboardInterrupt()])
def test_interrupted_merge_leaves_nothing(
    world: World, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(directory: Path, tensors: object) -> None:
        (directory / "adapter_model.safetensors").write_text("half")
        raise error

    monkeypatch.setattr(merging, "write_weights", fail)
    assert lora(world.sst(), tmp_path / "out").exit_code != 0
    assert [path.name for path in tmp_path.iterdir()] == ["out.yml"]
