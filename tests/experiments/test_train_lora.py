"""Training a LoRA expert: it learns, the same bytes for a seed or after a kill, and clear errors."""

import itertools
import json
import subprocess
import sys

import pytest
import torch
from click.testing import CliRunner
from peft import PeftModel
from safetensors.torch import load_file
from tiny import ROWS, tiny_data, tiny_llama
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, Trainer

from sst_mergekit.cli import main
from sst_mergekit.errors import DataError, StatisticsError
from sst_mergekit.statistics.loading import ModelSpec, load_tokenizer
from sst_mergekit.statistics.rows import Source, read_conversations
from sst_mergekit.statistics.tokens import IGNORED, Sequence, tokenize
from sst_mergekit.training import lora as lora_training
from sst_mergekit.training import lora_fit
from sst_mergekit.training.lora import Options, train_lora, with_lora

OPTIONS = Options(steps=20, learning_rate=2e-2, rank=4, batch_size=3, progress=False)
SEQUENCES = [Sequence((4, 5, 6, 7, 8), 2), Sequence((9, 10, 11), 0), Sequence((12, 13, 14, 15), 3)]
FOUR = (*ROWS, ("w19", "w20 w21 w22"))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("lora")
    return tiny_llama(root / "base", 0), tiny_data(root / "rows.jsonl", FOUR)


def train(world, out, **changes):
    base, rows = world
    return train_lora(ModelSpec(str(base)), Source(str(rows)), out, Options(**(vars(OPTIONS) | changes)))


def weights(folder):
    return (folder / "adapter_model.safetensors").read_bytes()


def tensors(folder):
    return load_file(folder / "adapter_model.safetensors")


def note(folder):
    return json.loads((folder / "training.json").read_text())


def test_it_learns_and_peft_loads_it(world, tmp_path):
    done = train(world, tmp_path / "a", steps=80)
    assert done.last < done.first - 0.1
    PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(world[0]), tmp_path / "a")
    assert note(tmp_path / "a")["rows"] == 4
    assert note(tmp_path / "a")["options"]["rank"] == 4
    assert len(note(tmp_path / "a")["data_sha256"]) == 64
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert names == {"README.md", "adapter_config.json", "adapter_model.safetensors", "training.json"}
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_same_bytes_for_a_seed(world, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(world, tmp_path / name, seed=seed, steps=3, dropout=0.1)
    assert weights(tmp_path / "a") == weights(tmp_path / "b") != weights(tmp_path / "c")


def test_the_seed_is_of_the_order(tmp_path):
    orders = []
    for seed in (1, 1, 2):
        options = Options(seed=seed, batch_size=1, progress=False)
        rows = [Sequence((number, 1), 1) for number in range(8)]
        trainer = lora_fit.trainer(torch.nn.Linear(1, 1), rows, options, "cpu", tmp_path)
        orders.append([batch["input_ids"][0, 0].item() for batch in trainer.get_train_dataloader()])
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == list(range(8))


def changed(model):
    """The model, with a LoRA that is no identity."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.1)
    return model


def naive(model, rows):
    """The mean over response tokens, row by row and position by position, from all logits."""
    found = []
    for row in rows:
        logits = model(input_ids=torch.tensor([row.ids])).logits[0].log_softmax(-1)
        found += [-logits[at - 1, row.ids[at]] for at in range(max(row.prompt_length, 1), len(row.ids))]
    return sum(found) / len(found)


def gradients(model):
    found = [each.grad.clone() for each in model.parameters() if each.grad is not None]
    model.zero_grad()
    return found


def gpt2():
    sizes = {"n_embd": 8, "n_layer": 1, "n_head": 2, "vocab_size": 32, "n_positions": 16}
    return GPT2LMHeadModel(GPT2Config(**sizes, attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0)).eval()


@pytest.mark.parametrize("kind", ["llama", "head adapted", "gpt2", "no head"])
def test_the_loss_is_the_mean_over_response_tokens(world, kind, monkeypatch):
    targets = "q_proj,lm_head" if kind == "head adapted" else "all-linear"
    base = gpt2() if kind == "gpt2" else AutoModelForCausalLM.from_pretrained(world[0])
    model = changed(with_lora(base, Options(rank=2, target_modules=targets)))
    seen = []
    head = base.get_output_embeddings()
    head.register_forward_hook(lambda module, given, out: seen.append(out.shape[:-1].numel()))
    if kind == "no head":
        monkeypatch.setattr(base, "get_output_embeddings", lambda: None)
    inputs = lora_fit._padded(SEQUENCES)
    count = int((inputs["labels"] != IGNORED).sum())
    loss = lora_fit.summed_loss(model, inputs) / count
    assert seen == [15 if kind == "no head" else count]
    loss.backward()
    found = gradients(model)
    whole = naive(model, SEQUENCES)
    whole.backward()
    torch.testing.assert_close(loss, whole)
    for one, other in zip(found, gradients(model), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_accumulated_batches_are_one_larger_batch(world, tmp_path):
    settings = {"steps": 4, "learning_rate": 1e-3, "weight_decay": 0.1}
    one = train(world, tmp_path / "one", batch_size=4, **settings)
    many = train(world, tmp_path / "many", batch_size=1, accumulate=4, **settings)
    assert (many.first, many.last) == pytest.approx((one.first, one.last), rel=1e-5)
    found = tensors(tmp_path / "many")
    for name, tensor in tensors(tmp_path / "one").items():
        torch.testing.assert_close(found[name], tensor, atol=1e-4, rtol=1e-3)


def test_halves_have_the_gradients_of_the_whole(world, tmp_path, monkeypatch):
    real, fits = lora_fit.summed_loss, [3]

    def bounded(model, inputs):
        loss = real(model, inputs)
        if len(inputs["labels"]) > fits[0]:
            loss.backward()  # memory may end when some gradients are there
            raise torch.OutOfMemoryError
        return loss

    monkeypatch.setattr(lora_fit, "summed_loss", bounded)
    model = changed(with_lora(AutoModelForCausalLM.from_pretrained(world[0]), Options(rank=2)))
    trainer = lora_fit.trainer(model, SEQUENCES, OPTIONS, "cpu", tmp_path)
    found = []
    for fits[0] in (3, 1):
        for _ in range(2):  # as accumulated
            trainer.part = 4
            loss = trainer.training_step(model, lora_fit._padded(SEQUENCES), 6)
        found.append((loss, trainer.part, gradients(model)))
    assert [part for _, part, _ in found] == [4, 1]
    torch.testing.assert_close(found[0][0], found[1][0])
    for one, other in zip(found[0][2], found[1][2], strict=True):
        torch.testing.assert_close(one, other)
    fits[0] = 0
    with pytest.raises(StatisticsError, match="one conversation does not fit; lower --max-length"):
        trainer.training_step(model, lora_fit._padded(SEQUENCES), 6)


def test_the_validation_loss_is_that_of_the_trained_model(world, tmp_path):
    held_out = tiny_data(tmp_path / "held_out.jsonl", (("w1", "w2 w3 w4"), ("w5 w6 w7", "w8")))
    done = train(world, tmp_path / "a", validation=str(held_out), batch_size=1)
    tokenizer = load_tokenizer(ModelSpec(str(world[0])))
    rows = [
        tokenize(each, tokenizer, 1024, False) for each in read_conversations(Source(str(held_out)), None, 0)
    ]
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(world[0]), tmp_path / "a")
    assert done.validation == pytest.approx(naive(model, rows).item(), rel=1e-5)
    assert note(tmp_path / "a")["loss"]["validation"] == done.validation
    assert note(tmp_path / "a")["rows"] == 4


def test_a_share_is_held_out(world, tmp_path):
    done = train(world, tmp_path / "a", validation_share=0.5, steps=2)
    assert done.validation is not None
    assert note(tmp_path / "a")["rows"] == 2
    trained, held_out = lora_training._conversations(Source(str(world[1])), Options(validation_share=0.25))
    assert (len(trained), len(held_out)) == (3, 1)
    assert len({*trained, *held_out}) == 4
    one = tiny_data(tmp_path / "one.jsonl", ROWS[:1])
    with pytest.raises(DataError, match="--validation-share: leaves nothing to train on of 1 rows"):
        train((world[0], one), tmp_path / "b", validation_share=0.5)


def test_the_adapter_is_as_asked(world, tmp_path):
    train(world, tmp_path / "a", steps=1, alpha=3, dropout=0.25, target_modules="q_proj, down_proj")
    train(world, tmp_path / "b", steps=1)
    one, other = (json.loads((tmp_path / name / "adapter_config.json").read_text()) for name in "ab")
    assert (one["lora_alpha"], one["lora_dropout"]) == (3, 0.25)
    assert one["target_modules"] == ["down_proj", "q_proj"]
    assert (other["lora_alpha"], other["lora_dropout"]) == (8, 0.0)
    assert other["target_modules"] == sorted(other["target_modules"])
    assert len(other["target_modules"]) == 14  # seven of each block
    assert one["base_model_name_or_path"] == str(world[0])
    with pytest.raises(StatisticsError, match="--target-modules: no linear layer is called 'q_poj'.*q_proj"):
        train(world, tmp_path / "c", target_modules="v_proj,q_poj")


def test_rates_rise_and_fall(world, tmp_path):
    rates = []
    for warm_up in (0.0, 0.5):
        options = {"warm_up": warm_up, "steps": 8, "learning_rate": 1.0, "weight_decay": 0.1}
        options = Options(**(vars(OPTIONS) | options))
        trainer = lora_fit.trainer(torch.nn.Linear(1, 1), SEQUENCES, options, "cpu", tmp_path)
        trainer.create_optimizer_and_scheduler(8)
        trainer.optimizer.step()  # or the scheduler complains
        assert trainer.optimizer.param_groups[0]["weight_decay"] == 0.1
        rates.append([])
        for _ in range(8):
            rates[-1] += trainer.lr_scheduler.get_last_lr()[:1]
            trainer.lr_scheduler.step()
    assert rates[0] == [1 - step / 8 for step in range(8)]
    assert rates[1] == [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25]


def test_checkpointed_activations_are_computed_twice(world, tmp_path):
    calls, losses = [], []
    for checkpointed in (False, True):
        options = Options(**(vars(OPTIONS) | {"steps": 3, "gradient_checkpointing": checkpointed}))
        base = AutoModelForCausalLM.from_pretrained(world[0])
        calls.append(0)

        def count(*_):
            calls[-1] += 1

        base.model.layers[0].mlp.register_forward_pre_hook(count)
        losses.append(lora_fit.trainer(with_lora(base, options), SEQUENCES, options, "cpu", tmp_path).fit())
    assert calls == [3, 6]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


RESUMED = {"steps": 7, "batch_size": 1, "accumulate": 3, "dropout": 0.2, "checkpoints": 3}


@pytest.mark.parametrize("killed_at", [1, 2, 4, 7])
def test_a_stopped_training_goes_on_to_the_same_bytes(world, tmp_path, monkeypatch, killed_at):
    whole = train(world, tmp_path / "whole", **RESUMED)
    assert not (tmp_path / "whole.checkpoints").exists()
    real, saves = Trainer._save_checkpoint, itertools.count(1)

    class Kill(BaseException):
        """Of the process, as far as it can be caught."""

    def step(self, *args):
        if self.state.global_step == killed_at - 1:
            raise Kill
        return batches(self, *args)

    def save(self, *args):
        real(self, *args)
        if killed_at == 7 and next(saves) == 3:  # all is done, nothing is written
            raise Kill

    batches = lora_fit.ResponseTrainer.get_batch_samples
    monkeypatch.setattr(lora_fit.ResponseTrainer, "_save_checkpoint", save)
    if killed_at < 7:
        monkeypatch.setattr(lora_fit.ResponseTrainer, "get_batch_samples", step)
    with pytest.raises(Kill):
        train(world, tmp_path / "a", **RESUMED)
    assert not (tmp_path / "a").exists()
    monkeypatch.undo()
    if killed_at == 4:  # a later one, of which half was written
        half = tmp_path / "a.checkpoints/checkpoint-6"
        half.mkdir()
        (half / "trainer_state.json").write_text('{"global_')
    seen = []
    monkeypatch.setattr(
        lora_fit.ResponseTrainer,
        "training_step",
        lambda self, *args: (
            seen.append(self.state.global_step) or super(lora_fit.ResponseTrainer, self).training_step(*args)
        ),
    )
    assert train(world, tmp_path / "a", **RESUMED) == whole
    assert min(seen) == {1: 0, 2: 0, 4: 3, 7: 6}[killed_at]
    assert weights(tmp_path / "a") == weights(tmp_path / "whole")
    assert not (tmp_path / "a.checkpoints").exists()


def test_a_killed_process_goes_on(world, tmp_path):
    code = (
        "import os, signal\nfrom sst_mergekit.training import lora_fit\nfrom sst_mergekit.cli import main\n"
        "real = lora_fit.ResponseTrainer.log\n"
        "def log(self, *args):\n    real(self, *args)\n"
        "    self.state.global_step == 5 and os.kill(os.getpid(), signal.SIGKILL)\n"
        "lora_fit.ResponseTrainer.log = log\nmain()\n"
    )
    words = ["train-lora", "--model", str(world[0]), "--data", str(world[1]), "--quiet", "--steps", "6"]
    words += ["--batch-size", "2", "--checkpoints", "2", "--device", "cpu"]
    given = ["--out", str(tmp_path / "a"), "--checkpoint-folder", str(tmp_path / "elsewhere")]
    killed = subprocess.run([sys.executable, "-c", code, *words, *given], check=False)
    assert killed.returncode == -9
    assert sorted(path.name for path in (tmp_path / "elsewhere/a.checkpoints").glob("c*")) == [
        "checkpoint-2",
        "checkpoint-4",
    ]
    other = CliRunner().invoke(main, [*words, *given, "--rank", "2"])
    assert other.exit_code == 2
    assert "a.checkpoints: of a training with other options; remove it, or give them again" in other.stderr
    for done in ([*words, *given], [*words, "--out", str(tmp_path / "whole")]):
        assert CliRunner().invoke(main, done).exit_code == 0
    assert weights(tmp_path / "a") == weights(tmp_path / "whole")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_loss_that_is_not_finite_leaves_nothing(world, tmp_path, monkeypatch):
    real = lora_fit.summed_loss
    monkeypatch.setattr(lora_fit, "summed_loss", lambda model, inputs: real(model, inputs) * float("nan"))
    with pytest.raises(StatisticsError, match="step 1: the loss is nan; lower --learning-rate"):
        train(world, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"validation": "a.jsonl", "validation_share": 0.1}, "--validation, --validation-share: give one"),
        ({"checkpoint_folder": "a"}, "--checkpoint-folder: give --checkpoints too"),
    ],
)
def test_options_that_do_not_go_together(options, said):
    with pytest.raises(StatisticsError, match=said):
        Options(**options)


def test_the_command(world, tmp_path):
    words = ["train-lora", "--model", str(world[0]), "--data", str(world[1]), "--out", str(tmp_path / "a")]
    words += ["--steps", "2", "--quiet"]
    done = CliRunner().invoke(main, [*words, "--validation-share", "0.3"])
    assert done.exit_code == 0, done.output
    assert "nats a token in 2 steps, " in done.stdout
    assert done.stdout.count("\n") == 1
    again = CliRunner().invoke(main, words)
    assert again.exit_code == 2
    assert "exists; choose another place, or give --force" in again.stderr
    seed = CliRunner().invoke(main, [*words, "--seed", "-1"])
    assert seed.exit_code == 2
    assert "--seed" in seed.stderr
    missing = CliRunner().invoke(main, [*words[:3], "--data", "none.jsonl", "--out", str(tmp_path / "b")])
    assert missing.exit_code == 2
    assert "none.jsonl: no such file" in missing.stderr
