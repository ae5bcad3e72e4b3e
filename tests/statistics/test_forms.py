"""Names in all their forms, of transformers' own modules and files: one form for each, and none for two."""

import pytest
import torch
from mergekit.architecture import arch_info_for_config
from safetensors.torch import load_file
from tiny import tiny_data
from vision import SEEING, save, seeing

from sst_mergekit.statistics.estimate import estimate
from sst_mergekit.statistics.forms import NOT_BY_TEXT, PEFT, bare_name, is_of_images
from sst_mergekit.statistics.layers import linear_layers
from sst_mergekit.statistics.loading import ModelSpec, load_model, load_shapes
from sst_mergekit.statistics.planning import plan
from sst_mergekit.statistics.rows import Source
from sst_mergekit.statistics.settings import Options
from sst_mergekit.statistics.speed import Speed
from sst_mergekit.statistics.store import open_statistics


@pytest.fixture(scope="module", params=list(SEEING))
def model(request):
    return seeing(request.param)


def test_module_file_template_and_adapter_have_one_form(model, tmp_path):
    modules = [name for name, _ in model.named_parameters()]
    files = list(load_file(save(model, tmp_path) / "model.safetensors"))
    template = {each.name for each in arch_info_for_config(model.config).all_weights(model.config)}
    bare = set(map(bare_name, modules))
    assert len(bare) == len(modules)  # vision's layers are never the language's
    assert set(map(bare_name, files)) == bare
    assert bare <= set(map(bare_name, template))
    assert {bare_name(PEFT + name) for name in modules} == bare


def test_vision_is_told_from_language(model):
    for name, _ in model.named_parameters():
        of_images = any(part in name for part in ("vision", "visual", "multi_modal"))
        assert is_of_images(name) == of_images, name


def test_language_is_measured_and_the_rest_is_named(model, tmp_path):
    save(model, tmp_path / "model")
    spec, data = ModelSpec(str(tmp_path / "model")), tiny_data(tmp_path / "data.jsonl")
    manifest = estimate(spec, Source(str(data)), tmp_path / "out", Options(progress=False, expert_tokens=3))
    of_images = {name for name, _ in model.named_parameters() if is_of_images(name)}
    assert {name for name, why in manifest.skipped.items() if why == NOT_BY_TEXT} == of_images
    assert not any(map(is_of_images, manifest.layers))
    store = open_statistics(str(tmp_path / "out"))
    for name, tensor in load_file(tmp_path / "model" / "model.safetensors").items():
        language = tensor.ndim > 1 and not is_of_images(name)
        assert store.covers(name) == language, name
        assert store.follows_utility(name) == is_of_images(name), name
    foreseen = plan(spec, Source(str(data)), Options(expert_tokens=3), speed=Speed(1.0, 1.0, "cpu"))
    assert foreseen.layers == len(linear_layers_of(spec))


def linear_layers_of(spec):
    from sst_mergekit.statistics.observing import measuring

    model = load_model(spec)
    with measuring(model):
        return linear_layers(model)[0]


def test_the_model_is_loaded_whole(model, tmp_path):
    spec = ModelSpec(str(save(model, tmp_path)))
    loaded, shapes = load_model(spec), load_shapes(spec)
    assert type(loaded) is type(shapes) is type(model)
    for name, parameter in model.named_parameters():
        assert torch.equal(loaded.get_parameter(name), parameter), name
