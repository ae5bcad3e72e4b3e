"""Every supported architecture: all linear layers are measured, under names that mergekit uses."""

import logging

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM

from sst_mergekit.core.filtering import filter_patch
from sst_mergekit.core.geometries import GEOMETRIES
from sst_mergekit.core.geometry import balance
from sst_mergekit.core.settings import DEFAULTS
from sst_mergekit.statistics.collect import Options, collect
from sst_mergekit.statistics.loading import ModelSpec, load_model
from sst_mergekit.statistics.store import open_statistics
from sst_mergekit.statistics.tokens import Sequence
from sst_mergekit.statistics.writer import StatisticsWriter

SIZES = {
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "pad_token_id": 1,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
GPT2 = {
    "vocab_size": 32,
    "n_embd": 16,
    "n_layer": 2,
    "n_head": 2,
    "n_positions": 64,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
# model type -> (configuration, linear layers a block, tied embeddings)
ARCHITECTURES = {
    "llama": (SIZES | {"tie_word_embeddings": False}, 7, False),
    "mistral": (SIZES | {"tie_word_embeddings": False}, 7, False),
    "qwen2": (SIZES | {"tie_word_embeddings": True}, 7, True),
    "qwen3": (SIZES | {"head_dim": 8, "tie_word_embeddings": False}, 7, False),
    "gemma": (SIZES | {"head_dim": 8}, 7, True),
    "gemma2": (SIZES | {"head_dim": 8}, 7, True),
    "phi3": (SIZES | {"tie_word_embeddings": False}, 4, False),
    "gpt2": (GPT2, 4, True),
}


def build(path, model_type, seed, moved=None):
    """A random model; with ``moved``, the linear layers of its blocks move away from that base."""
    from transformers import AutoConfig

    torch.manual_seed(seed)
    config = AutoConfig.for_model(model_type, **ARCHITECTURES[model_type][0])
    model = (
        AutoModelForCausalLM.from_config(config)
        if moved is None
        else AutoModelForCausalLM.from_pretrained(moved)
    )
    if moved is not None:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.ndim == 2 and (".layers." in name or ".h." in name):
                    parameter.add_(0.02 * torch.randn_like(parameter))
    model.save_pretrained(path)
    return path


def measure(model, out):
    """Statistics on random tokens: these models have no words."""
    generator = torch.Generator().manual_seed(5)
    tokens = torch.randint(4, 32, (4, 12), generator=generator).tolist()
    sequences = [Sequence(tuple(ids), 4) for ids in tokens]
    out.mkdir()
    writer = StatisticsWriter(out)
    collected = collect(load_model(ModelSpec(str(model))), sequences, Options(progress=False), writer)
    about = {
        "kind": "kronecker",
        "model": {},
        "adapter": None,
        "data": {},
        "labels": "given",
        "form": {},
        "seed": 0,
    }
    writer.finish(collected, about | {"labels": "given", "seed": 0, "dtype": "float32", "versions": {}})


@pytest.fixture(scope="module", params=list(ARCHITECTURES))
def world(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    base = build(folder / "base", request.param, 0)
    utility = build(folder / "utility", request.param, 1, moved=base)
    safety = build(folder / "safety", request.param, 2, moved=base)
    for name, model in (("utility", utility), ("safety", safety)):
        measure(model, folder / f"fisher-{name}")
    return request.param, folder


def test_every_linear_layer_is_measured(world):
    model_type, folder = world
    _, per_block, tied = ARCHITECTURES[model_type]
    manifest = open_statistics(str(folder / "fisher-utility")).manifest
    assert len(manifest.layers) == 2 * per_block + (0 if tied else 2)
    assert any("tied" in why for why in manifest.skipped.values()) == tied


def weights(path):
    return AutoModelForCausalLM.from_pretrained(path).state_dict()


def test_mergekit_merges_it_by_the_statistics(world):
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    import sst_mergekit

    sst_mergekit.register()
    model_type, folder = world
    recipe = f"""
merge_method: sst
base_model: {folder}/base
models:
  - model: {folder}/utility
    parameters: {{role: utility, fisher: {folder}/fisher-utility}}
  - model: {folder}/safety
    parameters: {{role: safety, fisher: {folder}/fisher-safety}}
parameters: {{strength: 0.8}}
dtype: float32
"""
    logging.disable(logging.WARNING)
    config = MergeConfiguration.model_validate(yaml.safe_load(recipe))
    run_merge(config, str(folder / "merged"), options=MergeOptions(quiet=True, copy_tokenizer=False))
    base, utility, safety, merged = (weights(folder / n) for n in ("base", "utility", "safety", "merged"))
    harm, benign = (open_statistics(str(folder / f"fisher-{name}")) for name in ("safety", "utility"))
    kronecker = GEOMETRIES["kronecker"]
    changed = 0
    for name, tensor in merged.items():
        patch = safety[name] - base[name]
        if not patch.any():
            assert torch.equal(tensor, utility[name]), name
            continue
        changed += 1
        records = harm.find(name), benign.find(name)
        shares = [
            x
            for store, record in zip((harm, benign), records, strict=True)
            for x in (store.trace(record, kronecker), store.total_trace(kronecker))
        ]
        oriented = patch.T if records[0].transposed else patch
        read = [s.tensors(r, kronecker.needs) for s, r in zip((harm, benign), records, strict=True)]
        expected = filter_patch(kronecker, oriented, *read, balance(*shares), DEFAULTS)
        expected = expected.T if records[0].transposed else expected
        torch.testing.assert_close(tensor, utility[name] + 0.8 * expected.float(), msg=name)
    assert changed == 2 * ARCHITECTURES[model_type][1]


class Late(torch.nn.Module):
    """A layer that long inputs alone reach, like an expert that few tokens are sent to."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x) if x.shape[1] > 10 else x[..., : self.inner.out_features] * 0


def test_layers_that_the_first_tokens_do_not_reach_are_measured_too():
    from transformers import AutoConfig

    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **ARCHITECTURES["llama"][0]))
    model.model.layers[1].mlp.down_proj = Late(model.model.layers[1].mlp.down_proj)
    for length, reached in ((12, True), (10, False)):
        found = collect(model, [Sequence(tuple(range(4, 4 + length)), 4)], Options(progress=False))
        assert ("model.layers.1.mlp.down_proj.inner.weight" in found.means) == reached
        assert len(found.means) == 16 - (not reached)
