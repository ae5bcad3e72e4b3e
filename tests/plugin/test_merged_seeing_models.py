"""Merges of models that see images: language by statistics on text, vision as the utility expert has it."""

import logging

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from tiny import tiny_data
from vision import SEEING, save, seeing

import sst_mergekit
from sst_mergekit.errors import StatisticsError
from sst_mergekit.plugin.coverage import FILTERED, KEPT, recorded
from sst_mergekit.recipe.check import check_recipe
from sst_mergekit.statistics.estimate import estimate
from sst_mergekit.statistics.forms import is_of_images
from sst_mergekit.statistics.loading import ModelSpec
from sst_mergekit.statistics.rows import Source
from sst_mergekit.statistics.settings import Options

# attention, router, experts; embedding, head
MATRICES = {"llama4": 2 * (4 + 1 + 3 + 2) + 2, "qwen3_vl_moe": 2 * (4 + 1 + 2) + 2}


def moved(model, seed, images=False):
    """The model itself, with the matrices of its language part moved, or those of its vision."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and is_of_images(name) == images:
                parameter.add_(0.02 * torch.randn_like(parameter))
    return model


def measure(model, out):
    data = tiny_data(out.parent / "data.jsonl")
    return estimate(ModelSpec(str(model)), Source(str(data)), out, Options(progress=False, expert_tokens=3))


def with_a_norm(model):
    """The model itself, with one of its language part's norms moved."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("layers.1.input_layernorm.weight") and not is_of_images(name):
                parameter.add_(1)
    return model


@pytest.fixture(scope="module", params=list(SEEING))
def world(request, tmp_path_factory):
    """Base, utility and safety expert; ``both`` has also learned to see, ``norm`` has a norm of its own."""
    folder = tmp_path_factory.mktemp(request.param)
    save(seeing(request.param), folder / "base")
    experts = {
        "utility": moved(seeing(request.param), 1),
        "safety": moved(seeing(request.param), 2),
        "both": moved(moved(seeing(request.param), 2), 3, images=True),
        "norm": with_a_norm(moved(seeing(request.param), 2)),
    }
    for name, model in experts.items():
        save(model, folder / name)
        measure(folder / name, folder / f"fisher-{name}")
    return folder


def recipe(folder, safety="safety", **parameters):
    models = [
        {"model": f"{folder}/{name}", "parameters": {"role": role, "fisher": f"{folder}/fisher-{name}"}}
        for role, name in (("utility", "utility"), ("safety", safety))
    ]
    body = {"merge_method": "sst", "base_model": f"{folder}/base", "models": models}
    path = folder / "recipe.yml"
    path.write_text(yaml.safe_dump(body | {"parameters": parameters, "dtype": "float32"}))
    return path


def merge(path, out):
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    sst_mergekit.register()
    logging.disable(logging.WARNING)
    config = MergeConfiguration.model_validate(yaml.safe_load(path.read_text()))
    run_merge(config, str(out), options=MergeOptions(quiet=True, copy_tokenizer=False))
    return load_file(out / "model.safetensors")


def three(folder, safety="safety"):
    return [load_file(folder / name / "model.safetensors") for name in ("base", "utility", safety)]


def test_the_check_finds_no_fault(world):
    assert check_recipe(recipe(world)) == []


def test_cost_zero_is_task_arithmetic_in_every_tensor(world, tmp_path):
    with recorded() as fates:
        merged = merge(recipe(world, cost=0.0, strength=0.7), tmp_path / "out")
    base, utility, safety = three(world)
    assert merged.keys() == utility.keys()
    for name, tensor in merged.items():
        expected = utility[name] + 0.7 * (safety[name] - base[name])
        torch.testing.assert_close(tensor, expected, rtol=1e-5, atol=1e-6, msg=name)
        assert torch.equal(tensor, utility[name]) == torch.equal(safety[name], base[name]), name
    filtered = [name for name, fate in fates.fates.items() if fate == FILTERED]
    assert len(filtered) == MATRICES.get(world.name.rstrip("0"), 2 * 7 + 2)


def test_vision_follows_the_utility_expert_and_it_is_said(world, tmp_path):
    (warning,) = check_recipe(recipe(world, "both"))
    assert warning.warning
    assert "which text does not reach: the utility expert's are kept" in str(warning)
    with recorded() as fates:
        merged = merge(recipe(world, "both", cost=0.0), tmp_path / "out")
    base, utility, safety = three(world, "both")
    changed = {name for name in base if is_of_images(name) and not torch.equal(safety[name], base[name])}
    assert changed
    assert changed == {name for name, fate in fates.fates.items() if fate == KEPT}
    for name, tensor in merged.items():
        expected = utility[name] if name in changed else utility[name] + safety[name] - base[name]
        torch.testing.assert_close(tensor, expected, rtol=1e-5, atol=1e-6, msg=name)
    added = merge(recipe(world, "both", cost=0.0, on_missing="add"), tmp_path / "added")
    for name in changed:
        torch.testing.assert_close(added[name], utility[name] + safety[name] - base[name], msg=name)


def test_norms_of_the_language_part_are_refused_still(world, tmp_path):
    (fault,) = check_recipe(recipe(world, "norm"))
    assert "layers.1.input_layernorm.weight, without statistics" in str(fault)
    with pytest.raises(StatisticsError, match=r"1\.input_layernorm\.weight: the patch .*not a measured"):
        merge(recipe(world, "norm"), tmp_path / "out")


def test_vision_by_other_names_than_mergekits_is_a_fault(tmp_path):
    """Gemma-3 as transformers 5 saves it."""
    save(seeing("gemma3"), tmp_path / "base", hub=False)
    for seed, name in ((1, "utility"), (2, "safety")):
        save(moved(seeing("gemma3"), seed), tmp_path / name, hub=False)
        measure(tmp_path / name, tmp_path / f"fisher-{name}")
    found = [str(fault) for fault in check_recipe(recipe(tmp_path))]
    assert len(found) == 3
    assert all("lacks vision_tower.vision_model.embeddings" in fault for fault in found), found
    assert all("name the tensors of its vision as the Hub's files do" in fault for fault in found), found
    with pytest.raises(RuntimeError, match=r"vision_model\..* required but not present"):  # still so
        merge(recipe(tmp_path), tmp_path / "out")


def test_experts_as_in_the_hubs_files_are_refused(tmp_path):
    """Qwen3-VL-MoE's are [E, d_in, d_out] there, [E, d_out, d_in] where transformers 5 saves them."""
    save(seeing("qwen3_vl_moe"), tmp_path / "base")
    for seed, name in ((1, "utility"), (2, "safety")):
        save(moved(seeing("qwen3_vl_moe"), seed), tmp_path / name)
        measure(tmp_path / name, tmp_path / f"fisher-{name}")
    for name in ("base", "utility", "safety"):
        file = tmp_path / name / "model.safetensors"
        tensors = {n: t.mT.contiguous() if ".experts." in n else t for n, t in load_file(file).items()}
        save_file(tensors, file, metadata={"format": "pt"})
    found = [str(fault) for fault in check_recipe(recipe(tmp_path))]
    assert any("another shape for model.language_model.layers.0.mlp.experts" in fault for fault in found), (
        found
    )
    with pytest.raises(StatisticsError, match=r"experts\..*: shape \[.*but .* of"):
        merge(recipe(tmp_path), tmp_path / "out")
