"""Training a LoRA expert: it learns, the same bytes for a seed, halves as wholes, and clear errors."""

import json

import pytest
import torch
from click.testing import CliRunner
from peft import PeftModel
from tiny import tiny_data, tiny_llama
from transformers import AutoModelForCausalLM

from sst_mergekit.cli import main
from sst_mergekit.errors import StatisticsError
from sst_mergekit.statistics.loading import ModelSpec
from sst_mergekit.statistics.rows import Source
from sst_mergekit.statistics.tokens import Sequence
from sst_mergekit.training import lora as lora_training
from sst_mergekit.training.lora import Options, train_lora, with_lora

OPTIONS = Options(steps=20, learning_rate=2e-2, rank=4, batch_size=3, progress=False)
ROWS = [Sequence((4, 5, 6, 7, 8), 2), Sequence((9, 10, 11), 1), Sequence((12, 13, 14, 15), 3)]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("lora")
    return tiny_llama(root / "base", 0), tiny_data(root / "rows.jsonl")


def train(world, out, **changes):
    base, rows = world
    return train_lora(ModelSpec(str(base)), Source(str(rows)), out, Options(**(vars(OPTIONS) | changes)))


def weights(folder):
    return (folder / "adapter_model.safetensors").read_bytes()


def test_it_learns_and_peft_loads_it(world, tmp_path):
    done = train(world, tmp_path / "a", steps=80)
    assert done.last < done.first - 0.1
    PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(world[0]), tmp_path / "a")
    note = json.loads((tmp_path / "a/training.json").read_text())
    assert note["rows"] == 3
    assert note["options"]["rank"] == 4
    assert len(note["data_sha256"]) == 64
    assert not [path for path in (tmp_path / "a").iterdir() if path.suffix in (".bin", ".pt", ".pkl")]


def test_the_same_bytes_for_a_seed(world, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(world, tmp_path / name, seed=seed, steps=3)
    assert weights(tmp_path / "a") == weights(tmp_path / "b") != weights(tmp_path / "c")


def gradients(world, part, monkeypatch, fits=3):
    """The gradients of ROWS on a fixed model where no more than `fits` rows fit into memory."""
    model = with_lora(AutoModelForCausalLM.from_pretrained(world[0]), 2, 0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.1)
    real = lora_training._summed_loss

    def bounded(model, rows, device):
        if len(rows) > fits:
            raise torch.OutOfMemoryError
        return real(model, rows, device)

    monkeypatch.setattr(lora_training, "_summed_loss", bounded)
    loss, part = lora_training._gradients(model, ROWS, part, "cpu")
    monkeypatch.setattr(lora_training, "_summed_loss", real)
    return loss, part, [p.grad.clone() for p in model.parameters() if p.grad is not None]


def test_halves_have_the_gradients_of_the_whole(world, monkeypatch):
    loss, part, whole = gradients(world, 4, monkeypatch)
    halved = gradients(world, 4, monkeypatch, fits=2)
    assert (part, halved[1]) == (4, 2)
    assert halved[0] == pytest.approx(loss, rel=1e-5)
    for one, other in zip(whole, halved[2], strict=True):
        torch.testing.assert_close(one, other)
    with pytest.raises(StatisticsError, match="one conversation does not fit; lower --max-length"):
        gradients(world, 4, monkeypatch, fits=0)


def test_a_loss_that_is_not_finite_leaves_nothing(world, tmp_path, monkeypatch):
    monkeypatch.setattr(lora_training, "_gradients", lambda model, rows, part, device: (float("nan"), part))
    with pytest.raises(StatisticsError, match="step 1: the loss is nan; lower --learning-rate"):
        train(world, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_the_command(world, tmp_path):
    words = ["train-lora", "--model", str(world[0]), "--data", str(world[1]), "--out", str(tmp_path / "a")]
    words += ["--steps", "2", "--quiet"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert "nats a token in 2 steps" in done.output
    again = CliRunner().invoke(main, words)
    assert again.exit_code == 2
    assert "exists; choose another place, or give --force" in again.stderr
    missing = CliRunner().invoke(main, [*words[:3], "--data", "none.jsonl", "--out", str(tmp_path / "b")])
    assert missing.exit_code == 2
    assert "none.jsonl: no such file" in missing.stderr
