"""Adapters on models that see images: measured, checked, merged into an adapter."""

import pytest
import torch
import yaml
from peft import LoraConfig, PeftModel, get_peft_model
from tiny import tiny_data, tiny_statistics
from transformers import AutoModelForImageTextToText
from vision import SEEING, save, seeing

from sst_mergekit.adapters.merging import Options, merge_adapters
from sst_mergekit.recipe.check import check_recipe
from sst_mergekit.recipe.parse import load_recipe

LANGUAGE = r".*language_model.*\.(q_proj|o_proj)"


@pytest.fixture(scope="module", params=list(SEEING))
def world(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    base = save(seeing(request.param), folder / "base")
    for seed, name in ((1, "utility"), (2, "safety")):
        torch.manual_seed(seed)
        config = LoraConfig(r=2, target_modules=LANGUAGE, init_lora_weights=False)
        get_peft_model(loaded(base), config).save_pretrained(folder / name)
        tiny_statistics(
            folder / f"fisher-{name}", base, tiny_data(folder / "data.jsonl"), adapter=folder / name
        )
    models = [
        {
            "model": f"{base}+{folder}/{name}",
            "parameters": {"role": name, "fisher": f"{folder}/fisher-{name}"},
        }
        for name in ("utility", "safety")
    ]
    body = {"merge_method": "sst", "base_model": str(base), "models": models, "parameters": {"cost": 0.0}}
    (folder / "recipe.yml").write_text(yaml.safe_dump(body | {"dtype": "float32"}))
    return folder


def loaded(path):
    return AutoModelForImageTextToText.from_pretrained(path)


def folded(folder, adapter):
    return PeftModel.from_pretrained(loaded(folder / "base"), adapter).merge_and_unload().state_dict()


def test_only_gemma_cannot_be_folded_for_mergekit(world):
    found = check_recipe(world / "recipe.yml", lora_merge_cache=world / "cache")
    if "gemma3" in world.name:
        assert [fault.where for fault in found] == ["models[0].model", "models[1].model"]
        assert all("would lack vision_tower.vision_model.*" in str(fault) for fault in found)
    else:
        assert found == []


def test_an_adapter_at_cost_zero_is_the_sum_of_both(world, tmp_path):
    merge_adapters(load_recipe(world / "recipe.yml"), tmp_path / "out", Options(progress=False))
    base = loaded(world / "base").state_dict()
    merged, utility, safety = (
        folded(world, each) for each in (tmp_path / "out", world / "utility", world / "safety")
    )
    changed = [name for name in base if not torch.equal(merged[name], base[name])]
    assert len(changed) == 4
    for name, tensor in merged.items():
        torch.testing.assert_close(tensor, utility[name] + safety[name] - base[name], rtol=1e-4, atol=1e-5)
