"""A LoRA model is measured at its base's linear layers, under the base's names, at the adapted weights."""

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tiny import tiny_adapter, tiny_data, tiny_llama, tiny_statistics
from transformers import AutoModelForCausalLM

from sst_mergekit.errors import StatisticsError
from sst_mergekit.statistics.layers import checkpoint_name, linear_layers
from sst_mergekit.statistics.loading import ModelSpec, load_model
from sst_mergekit.statistics.store import open_statistics


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapters")
    base = tiny_llama(folder / "base", 0)
    adapter = tiny_adapter(folder / "adapter", base, 1)
    merged = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter).merge_and_unload()
    tiny_llama(folder / "folded", 0)
    merged.save_pretrained(folder / "folded")
    return folder, tiny_data(folder / "data.jsonl")


def test_layers_are_the_bases_own(world):
    folder, _ = world
    base = AutoModelForCausalLM.from_pretrained(folder / "base")
    expected, _ = linear_layers(base)
    adapted, skipped = linear_layers(PeftModel.from_pretrained(base, folder / "adapter"))
    assert [layer.name for layer in adapted] == [layer.name for layer in expected]
    assert [layer.shape for layer in adapted] == [layer.shape for layer in expected]
    assert not skipped


@pytest.mark.parametrize("kind", ["kronecker", "activation", "diagonal"])
def test_statistics_equal_those_of_the_folded_model(world, tmp_path, kind):
    folder, data = world
    adapted = tiny_statistics(tmp_path / "a", folder / "base", data, kind, adapter=folder / "adapter")
    folded = tiny_statistics(tmp_path / "f", folder / "folded", data, kind)
    one, other = open_statistics(str(adapted)), open_statistics(str(folded))
    assert set(one.manifest.layers) == set(other.manifest.layers)
    for name, record in one.manifest.layers.items():
        slots = tuple(record.tensors)
        expected = other.tensors(other.manifest.layers[name], slots)
        for slot, tensor in one.tensors(record, slots).items():
            torch.testing.assert_close(tensor, expected[slot], rtol=1e-3, atol=1e-6)


def saved(out, base, scale=1.0, **options):
    """Return ``out``, with a LoRA of the options whose whole weights are the model's, scaled."""
    adapted = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base), LoraConfig(r=2, init_lora_weights=False, **options)
    )
    for name, parameter in adapted.named_parameters():
        if "modules_to_save" in name:
            parameter.data *= scale
    adapted.save_pretrained(out)
    return out


def test_trained_copies_are_measured_under_the_checkpoints_names(world, tmp_path):
    folder, data = world
    copied = ["o_proj", "lm_head", "embed_tokens"]
    adapter = saved(tmp_path / "a", folder / "base", 2.0, target_modules=["q_proj"], modules_to_save=copied)
    tiny_llama(tmp_path / "folded", 0)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder / "base"), adapter)
    model.merge_and_unload().save_pretrained(tmp_path / "folded")
    one = open_statistics(str(tiny_statistics(tmp_path / "one", folder / "base", data, adapter=adapter)))
    other = open_statistics(str(tiny_statistics(tmp_path / "other", tmp_path / "folded", data)))
    assert set(one.manifest.layers) == set(other.manifest.layers)
    for name, record in one.manifest.layers.items():
        if record.tensors:
            expected = other.tensors(other.manifest.layers[name], tuple(record.tensors))
            for slot, tensor in one.tensors(record, tuple(record.tensors)).items():
                torch.testing.assert_close(tensor, expected[slot], rtol=1e-3, atol=1e-6)


def test_the_manifest_names_base_and_adapter(world, tmp_path):
    folder, data = world
    out = tiny_statistics(tmp_path / "a", folder / "base", data, adapter=folder / "adapter")
    manifest = open_statistics(str(out)).manifest
    plain = open_statistics(str(tiny_statistics(tmp_path / "p", folder / "base", data))).manifest
    assert manifest.model == plain.model
    assert plain.adapter is None
    assert manifest.adapter["id"] == str(folder / "adapter")
    assert len(manifest.adapter["weights"]) == 64


def test_a_missing_adapter_is_one_clear_error(world):
    folder, _ = world
    with pytest.raises(StatisticsError, match="nowhere: the adapter cannot be loaded"):
        load_model(ModelSpec(str(folder / "base"), adapter=str(folder / "nowhere")))


def test_checkpoint_names_lose_pefts_wrapping():
    assert checkpoint_name("base_model.model.lm_head") == "lm_head"
    assert checkpoint_name("model.layers.1.mlp.up_proj") == "model.layers.1.mlp.up_proj"
