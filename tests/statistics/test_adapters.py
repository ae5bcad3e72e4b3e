"""A LoRA model is measured at its base's linear layers, under the base's names, at the adapted weights."""

import pytest
import torch
from peft import PeftModel
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
