"""The world's training: repeatable, resumable, in the forms others load; slow: it teaches what it says."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftConfig, PeftModel
from safetensors.torch import load_file
from tiny_world import made
from transformers import AutoModelForCausalLM

from sst_mergekit.testbeds.tiny import training
from sst_mergekit.testbeds.tiny.data import vocabulary_texts
from sst_mergekit.testbeds.tiny.fitting import batches, encode, response_loss
from sst_mergekit.testbeds.tiny.tokenizer import build_tokenizer
from sst_mergekit.testbeds.tiny.training import new_llama, train_lora, with_lora
from sst_mergekit.testbeds.tiny.world import QUICK, drifted

TINY = dataclasses.replace(QUICK, base_steps=3, utility_steps=2, safety_steps=2)
MODELS = ("base", "utility", "safety")
ROWS = [
    {"prompt": "How do I bake the bread?", "response": "Take a pan, then bake the bread."},
    {"prompt": "What is 3 + 4?", "response": "It is 7."},
]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> dict[str, Path]:
    torch.set_num_threads(1)
    return made(tmp_path_factory.mktemp("tiny"), TINY)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(vocabulary_texts())


def weights(folder: Path) -> bytes:
    return next(folder.glob("*.safetensors")).read_bytes()


def test_the_same_weights_for_a_seed(tiny, tmp_path):
    again = made(tmp_path / "again", TINY)
    for name in MODELS:
        assert weights(again[name]) == weights(tiny[name])


def test_a_missing_checkpoint_is_trained_again_and_the_others_are_kept(tmp_path):
    paths = made(tmp_path, TINY, 1)
    first = {name: weights(paths[name]) for name in MODELS}
    written = (paths["base"] / "model.safetensors").stat().st_mtime_ns
    shutil.rmtree(paths["utility"].parent)
    made(tmp_path, TINY, 1)
    assert (paths["base"] / "model.safetensors").stat().st_mtime_ns == written
    assert {name: weights(paths[name]) for name in first} == first


def test_the_checkpoints_load_in_their_forms(tiny):
    for folder in (tiny["base"], tiny["utility"]):
        tensors = load_file(folder / "model.safetensors")
        assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
        assert (folder / "tokenizer.json").is_file()
        assert "lm_head.weight" in tensors  # not tied: the patch leaves it alone
    config = PeftConfig.from_pretrained(tiny["safety"])
    assert config.base_model_name_or_path == str(tiny["base"])
    assert config.r == 8
    model = AutoModelForCausalLM.from_pretrained(tiny["base"])
    assert 0.3e6 < model.num_parameters() < 0.8e6


def test_a_drifted_world_starts_from_base_and_adapter(tmp_path):
    size = dataclasses.replace(drifted(TINY), base_steps=3, utility_steps=0, safety_steps=2)
    paths = made(tmp_path, size)
    base = AutoModelForCausalLM.from_pretrained(paths["base"])
    folded = PeftModel.from_pretrained(base, str(paths["safety"])).merge_and_unload().state_dict()
    for name in ("aligned", "utility"):
        found = load_file(paths[name] / "model.safetensors")
        assert set(found) == set(folded)
        assert all(torch.equal(found[key], folded[key]) for key in found), name


@pytest.mark.parametrize("size", [TINY, drifted(TINY)])
def test_each_world_has_its_own_rate_of_the_utility_expert(monkeypatch, tmp_path, size):
    asked = []
    monkeypatch.setattr(training, "fit", lambda *_, **settings: asked.append(settings))
    made(tmp_path, size)
    rates = {settings["seed"]: settings["lr"] for settings in asked}
    drift = {0: 2e-3, 1: training.DRIFT_RATE, 2: size.safety_rate}
    assert rates == (drift if size.drifted else {**drift, 1: training.UTILITY_RATE})
    assert training.DRIFT_RATE != training.UTILITY_RATE


def test_train_lora_writes_an_adapter_over_any_checkpoint(tiny, tmp_path):
    settings = {"steps": 2, "lr": 1e-3, "seed": 5}
    out = train_lora(tiny["utility"], ROWS, tmp_path / "lora", rank=4, **settings)
    config = json.loads((out / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tiny["utility"])
    assert config["r"] == 4
    assert weights(train_lora(tiny["utility"], ROWS, tmp_path / "twin", rank=4, **settings)) == weights(out)


def test_only_the_response_is_learned(tokenizer):
    exchanges = encode(ROWS, tokenizer)
    for row, (tokens, start) in zip(ROWS, exchanges, strict=True):
        assert tokenizer.decode(tokens[start:]) == row["response"] + tokenizer.eos_token


def test_the_loss_of_a_padded_batch_is_that_of_single_exchanges(tokenizer):
    exchanges = encode(ROWS, tokenizer)
    model = new_llama(tokenizer, 96, 3, 0)
    lengths = [len(tokens) - start for tokens, start in exchanges]
    alone = [response_loss(model, [exchange]) for exchange in exchanges]
    together = sum(loss * n for loss, n in zip(alone, lengths, strict=True)) / sum(lengths)
    torch.testing.assert_close(response_loss(model, exchanges), together)


def test_a_fresh_lora_changes_nothing(tokenizer):
    exchanges = encode(ROWS, tokenizer)
    model = new_llama(tokenizer, 96, 3, 0)
    before = response_loss(model, exchanges).item()
    assert response_loss(with_lora(model, 8, 0), exchanges).item() == pytest.approx(before)


@pytest.mark.parametrize("steps", [1, 5])
def test_batches_are_as_many_as_asked_and_the_same_for_a_seed(tokenizer, steps):
    exchanges = encode(ROWS * 40, tokenizer)
    first = list(batches(exchanges, steps, 0))
    assert len(first) == steps
    assert first == list(batches(exchanges, steps, 0))
