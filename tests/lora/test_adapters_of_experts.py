"""Adapters on experts (PEFT's `target_parameters`): measured unmerged, folded and merged by mergekit."""

import json
import logging

import pytest
import torch
import yaml
from mixtures import mixture, moved, save
from peft import LoraConfig, PeftModel, get_peft_model
from tiny import tiny_data
from transformers import AutoModelForCausalLM

import sst_mergekit
from sst_mergekit.adapters.deltas import deltas
from sst_mergekit.errors import RecipeError, StatisticsError
from sst_mergekit.recipe.check import check_recipe
from sst_mergekit.statistics.estimate import estimate
from sst_mergekit.statistics.loading import ModelSpec
from sst_mergekit.statistics.rows import Source
from sst_mergekit.statistics.settings import Options
from sst_mergekit.statistics.store import open_statistics
from sst_mergekit.training.lora import train_lora
from sst_mergekit.training.lora_options import Options as Training

TARGETS = {
    "mixtral": ["experts.gate_up_proj", "experts.down_proj"],
    "gpt_oss": ["experts.gate_up_proj", "experts.down_proj"],
    "llama4_text": ["experts.down_proj"],
}


@pytest.fixture(scope="module", params=list(TARGETS))
def world(request, tmp_path_factory):
    """A base, and an adapter of either role on its experts and q_proj."""
    folder = tmp_path_factory.mktemp(request.param)
    base = save(mixture(request.param), folder / "base")
    tiny_data(folder / "data.jsonl")
    for seed, name in ((1, "utility"), (2, "safety")):
        torch.manual_seed(seed)
        config = LoraConfig(
            r=2,
            target_modules=["q_proj"],
            target_parameters=TARGETS[request.param],
            init_lora_weights=False,
            task_type="CAUSAL_LM",
        )
        get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(folder / name)
        measure(folder, base, folder / f"fisher-{name}", folder / name)
    return folder


def measure(folder, model, out, adapter=None):
    spec = ModelSpec(str(model), str(adapter) if adapter else None)
    options = Options(progress=False, expert_tokens=3)
    return estimate(spec, Source(str(folder / "data.jsonl")), out, options)


def folded(folder, name):
    base = AutoModelForCausalLM.from_pretrained(folder / "base")
    return PeftModel.from_pretrained(base, folder / name).merge_and_unload()


def recipe(folder, **parameters):
    models = [
        {
            "model": f"{folder}/base+{folder}/{name}",
            "parameters": {"role": name, "fisher": f"{folder}/fisher-{name}"},
        }
        for name in ("utility", "safety")
    ]
    body = {"merge_method": "sst", "base_model": f"{folder}/base", "models": models, "dtype": "float32"}
    path = folder / "recipe.yml"
    path.write_text(yaml.safe_dump(body | {"parameters": parameters}))
    return path


def test_statistics_equal_those_of_the_folded_model(world, tmp_path):
    whole = save(folded(world, "safety"), tmp_path / "folded")
    measure(world, whole, tmp_path / "fisher")
    one, other = open_statistics(str(world / "fisher-safety")), open_statistics(str(tmp_path / "fisher"))
    assert one.manifest.layers.keys() == other.manifest.layers.keys()
    assert one.manifest.pooled == other.manifest.pooled
    assert one.manifest.skipped == other.manifest.skipped
    for name, record in one.manifest.layers.items():
        expected = other.tensors(other.manifest.layers[name], tuple(record.tensors))
        assert record.stored == other.manifest.layers[name].stored
        for slot, tensor in one.tensors(record, tuple(record.tensors)).items():
            torch.testing.assert_close(tensor, expected[slot], rtol=1e-3, atol=1e-5, msg=f"{name} {slot}")


def test_the_check_finds_what_mergekit_cannot_read(world):
    found = check_recipe(recipe(world), world / "cache", "float32")
    faults = [str(fault) for fault in found if not fault.warning]
    assert len(faults) == (0 if "mixtral" in world.name else 2)
    assert all("then reads no adapters; fold it with PEFT" in fault for fault in faults)


def test_experts_without_statistics_are_named(world, tmp_path):
    for name in ("utility", "safety"):
        path = world / f"fisher-{name}"
        body = json.loads((path / "manifest.json").read_text())
        body["layers"] = {key: e for key, e in body["layers"].items() if "experts.down_proj" not in key}
        (tmp_path / f"fisher-{name}").mkdir()
        for file in path.iterdir():
            (tmp_path / f"fisher-{name}" / file.name).write_bytes(file.read_bytes())
        (tmp_path / f"fisher-{name}" / "manifest.json").write_text(json.dumps(body))
    text = recipe(world).read_text().replace(f"{world}/fisher", f"{tmp_path}/fisher")
    (tmp_path / "recipe.yml").write_text(text)
    found = [str(fault) for fault in check_recipe(tmp_path / "recipe.yml", world / "cache", "float32")]
    assert any(
        "the patch changes model.layers.0" in fault and "experts.down_proj" in fault for fault in found
    )


def test_cost_zero_is_task_arithmetic_in_every_tensor(world, tmp_path):
    if "mixtral" not in world.name:
        pytest.skip("mergekit reads no adapters on it, which the check says")
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    sst_mergekit.register()
    logging.disable(logging.WARNING)
    config = MergeConfiguration.model_validate(yaml.safe_load(recipe(world, cost=0.0).read_text()))
    options = MergeOptions(
        quiet=True, lora_merge_cache=str(tmp_path / "cache"), lora_merge_dtype="float32", copy_tokenizer=False
    )
    run_merge(config, str(tmp_path / "out"), options=options)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "out").state_dict()
    base = AutoModelForCausalLM.from_pretrained(world / "base").state_dict()
    utility, safety = (folded(world, name).state_dict() for name in ("utility", "safety"))
    stacks = 0
    for name, tensor in merged.items():
        expected = utility[name] + safety[name] - base[name]
        torch.testing.assert_close(tensor, expected, rtol=1e-4, atol=1e-5, msg=name)
        stacks += tensor.ndim == 3 and not torch.equal(tensor, utility[name])
    assert stacks == 2 * len([each for each in TARGETS.items() if each[0] in world.name][0][1])


@pytest.mark.parametrize("model_type", ["mixtral", "llama4_text"])
def test_train_lora_trains_experts(model_type, tmp_path):
    base = save(mixture(model_type), tmp_path / "base")
    source = Source(str(tiny_data(tmp_path / "data.jsonl")))
    options = Training(
        steps=2, rank=2, progress=False, target_parameters="experts.gate_up_proj,experts.down_proj"
    )
    train_lora(ModelSpec(str(base)), source, tmp_path / "adapter", options)
    before = AutoModelForCausalLM.from_pretrained(base).state_dict()
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), tmp_path / "adapter")
    after = model.merge_and_unload().state_dict()
    stacks = [name for name, tensor in before.items() if tensor.ndim == 3]
    assert len(stacks) == 4
    assert all((before[name] != after[name]).any() for name in stacks)
    wrong = Training(steps=1, target_parameters="experts.down_pro", progress=False)
    with pytest.raises(StatisticsError, match=r"no experts have 'experts.down_pro' \(did you mean"):
        train_lora(ModelSpec(str(base)), source, tmp_path / "wrong", wrong)
    with pytest.raises(StatisticsError, match="--dropout: a LoRA on --target-parameters has none"):
        Training(target_parameters="experts.down_proj", dropout=0.1)


def test_what_takes_dense_layers_alone_says_so(tmp_path):
    one_by_one = r"block_sparse_moe\.experts\.0\.w1\.weight"
    for model_type, name in (("mixtral", one_by_one), ("gpt_oss", r"experts\.down_proj")):
        base = save(mixture(model_type), tmp_path / model_type / "base")
        other = save(moved(mixture(model_type), 1), tmp_path / model_type / "other")
        with pytest.raises(RecipeError, match=rf"changes .*{name}, of a mixture of experts, .* yaml"):
            list(deltas(str(base), str(other)))


def test_adapters_of_experts_are_no_input_of_lora(world):
    from sst_mergekit.adapters.merging import Options as Merging
    from sst_mergekit.adapters.merging import merge_adapters
    from sst_mergekit.recipe.parse import load_recipe

    with pytest.raises(RecipeError, match="target_parameters is set, .*use the full merge"):
        merge_adapters(load_recipe(recipe(world)), world / "merged", Merging(progress=False))
