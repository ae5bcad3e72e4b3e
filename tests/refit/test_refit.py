"""The refit: it starts exactly at the patch, lowers its loss, keeps the best state, and fails in one line."""

import json
import shutil

import pytest
import torch
from click.testing import CliRunner
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from sst_mergekit.adapters.deltas import deltas
from sst_mergekit.cli import main
from sst_mergekit.core.settings import FilterSettings
from sst_mergekit.errors import RecipeError, SstError, StatisticsError
from sst_mergekit.plugin.evidence import Source as Evidence
from sst_mergekit.plugin.patching import PatchFilter
from sst_mergekit.statistics.loading import ModelSpec
from sst_mergekit.statistics.rows import Source
from sst_mergekit.statistics.tokens import Sequence
from sst_mergekit.training.refit import Data, refit, with_patch
from sst_mergekit.training.refit_fitting import Losses, Options, fit
from sst_mergekit.training.start import Start, factors

QUICK = Options(steps=30, learning_rate=5e-3, batch_size=4, progress=False)


def start(world, **options) -> Start:
    return Start(str(world / "base"), f"{world / 'base'}+{world / 'safety'}", **options)


def names(world) -> dict[str, bool]:
    return {name: False for name, _, _ in deltas(str(world / "base"), f"{world / 'base'}+{world / 'safety'}")}


def run(world, out, options=QUICK, part="factors", **of_start):
    data = Data(Source(str(world / "harm.jsonl")), Source(str(world / "benign.jsonl")))
    return refit(ModelSpec(str(world / "utility")), start(world, **of_start), data, out, options, part)


def test_it_starts_at_the_patch(world):
    found = factors(start(world, strength=0.7), names(world))
    for name, delta, _ in deltas(str(world / "base"), f"{world / 'base'}+{world / 'safety'}"):
        torch.testing.assert_close(found[name].dense().float(), 0.7 * delta)
        assert found[name].rank == 2


def test_with_statistics_it_starts_at_the_filtered_patch(world):
    pair = str(world / "f-harm"), str(world / "f-benign")
    found = factors(start(world, strength=1.0, fisher=pair, cost=0.1), names(world))
    apply = PatchFilter("kronecker", FilterSettings(cost=0.1))
    for name, delta, _ in deltas(str(world / "base"), f"{world / 'base'}+{world / 'safety'}"):
        wanted = apply(name, delta.double(), Evidence(pair[0]), (Evidence(pair[1]),))
        torch.testing.assert_close(found[name].dense(), wanted, rtol=1e-4, atol=1e-7)


def test_the_rank_is_cut_to_the_best_directions(world):
    found = factors(start(world, strength=1.0, rank=1), names(world))
    for name, delta, _ in deltas(str(world / "base"), f"{world / 'base'}+{world / 'safety'}"):
        values = torch.linalg.svdvals(delta.double())
        lost = (found[name].dense() - delta.double()).norm()
        assert float(lost) == pytest.approx(float(values[1]), rel=1e-4)


def test_the_adapter_is_utility_plus_patch_before_any_step(world):
    model = AutoModelForCausalLM.from_pretrained(world / "utility")
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    patch = factors(start(world, strength=0.5), names(world))
    merged = with_patch(model, patch).merge_and_unload().state_dict()
    for name, old in before.items():
        wanted = old + patch[name].dense().float() if name in patch else old
        torch.testing.assert_close(merged[name], wanted)


@pytest.mark.parametrize(("part", "rate"), [("core", 0.04), ("factors", 5e-3)])
def test_a_refit_lowers_the_held_out_loss_and_loads_in_peft(world, tmp_path, part, rate):
    options = Options(steps=30, learning_rate=rate, batch_size=4, progress=False)
    done = run(world, tmp_path / "out", options, part)
    assert done.step > 0
    assert done.after.total(0.5) < done.before.total(0.5)
    adapted = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(world / "utility"), tmp_path / "out"
    )
    assert adapted.peft_config["default"].base_model_name_or_path == str(world / "utility")
    assert {path.suffix for path in (tmp_path / "out").iterdir()} <= {".json", ".md", ".safetensors"}


def dense(adapter):
    """Each module's change [d_out, d_in] in an adapter directory, whose scales are 1."""
    tensors = load_file(adapter / "adapter_model.safetensors")
    modules = {name.removesuffix(".lora_A.weight") for name in tensors if ".lora_A." in name}
    return {
        m.removeprefix("base_model.model.") + ".weight": tensors[f"{m}.lora_B.weight"]
        @ tensors[f"{m}.lora_A.weight"]
        for m in modules
    }


def test_an_expert_that_is_an_adapter_is_fitted_as_if_folded(world, tmp_path):
    """The adapter is a copy of the safety expert's; folded by hand it makes a full checkpoint."""
    base = AutoModelForCausalLM.from_pretrained(world / "base")
    folded = PeftModel.from_pretrained(base, world / "safety").merge_and_unload()
    folded.save_pretrained(tmp_path / "folded")
    for file in (world / "base").glob("*token*"):
        shutil.copy(file, tmp_path / "folded")
    data = Data(Source(str(world / "harm.jsonl")), Source(str(world / "benign.jsonl")))
    specs = {
        "adapter": ModelSpec(str(world / "base"), str(world / "safety")),
        "full": ModelSpec(str(tmp_path / "folded")),
    }
    for name, spec in specs.items():
        refit(spec, start(world), data, tmp_path / name, QUICK)
    one, other = dense(tmp_path / "adapter"), dense(tmp_path / "full")
    assert one.keys() == other.keys()
    for name, change in one.items():
        torch.testing.assert_close(change, other[name], rtol=1e-3, atol=1e-5)
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(world / "base")


@pytest.mark.parametrize(("part", "within"), [("core", True), ("factors", False)])
def test_the_core_stays_in_the_directions_of_the_patch(world, tmp_path, part, within):
    rate = 0.04 if within else 5e-3
    run(world, tmp_path / "out", Options(steps=30, learning_rate=rate, batch_size=4, progress=False), part)
    patch, made = factors(start(world), names(world)), dense(tmp_path / "out")
    assert set(made) == set(patch)
    outside = []
    for name, change in made.items():
        left, right = (torch.linalg.qr(side.float()).Q for side in (patch[name].left, patch[name].right.T))
        outside.append(float((change - left @ (left.T @ change @ right) @ right.T).norm() / change.norm()))
        assert not torch.allclose(change, patch[name].dense().float(), rtol=1e-3, atol=0)
    assert (max(outside) < 1e-4) == within


def test_the_same_seed_gives_the_same_bytes(world, tmp_path):
    run(world, tmp_path / "a")
    run(world, tmp_path / "b")
    one, other = (tmp_path / name / "adapter_model.safetensors" for name in "ab")
    assert one.read_bytes() == other.read_bytes()


def test_where_no_step_helps_the_patch_stays(world, tmp_path):
    """A wild step always moves the benign answers, and here little else counts."""
    wild = Options(steps=3, learning_rate=1e4, harm_weight=1e-3, distill=1.0, batch_size=4, progress=False)
    done = run(world, tmp_path / "out", wild, "core")
    assert done.step == 0
    assert done.after == done.before
    made = dense(tmp_path / "out")
    for name, pair in factors(start(world), names(world)).items():
        torch.testing.assert_close(made[name], pair.dense().float(), rtol=1e-4, atol=1e-7)


def test_the_teacher_is_the_utility_expert(world):
    """Without a patch the KL is zero; by the data alone the benign loss is the NLL that harm has."""
    rows = [Sequence((4, 5, 6, 7), 2), Sequence((8, 9, 10), 1)]
    found = {}
    for distill in (1.0, 0.25, 0.0):
        model = AutoModelForCausalLM.from_pretrained(world / "utility")
        patch = {name: pair.scaled(0.0) for name, pair in factors(start(world), names(world)).items()}
        # both sets are one row twice, so that the held-out halves are the same
        options = Options(steps=1, learning_rate=1e-9, distill=distill, held_out=0.5, progress=False)
        found[distill] = fit(with_patch(model, patch), rows[:1] * 2, rows[:1] * 2, options).before
    assert found[1.0].benign == pytest.approx(0.0, abs=1e-6)
    assert found[0.0].benign == pytest.approx(found[0.0].harm)
    assert found[0.25].benign == pytest.approx(0.75 * found[0.0].harm)
    assert found[0.0].harm > 1


def spied(world, monkeypatch):
    """A short fit: what it says, its parameters, and every state and rate that the optimiser made."""
    adapted = with_patch(
        AutoModelForCausalLM.from_pretrained(world / "utility"), factors(start(world), names(world))
    )
    trained = [p for p in adapted.parameters() if p.requires_grad]
    states, rates = [], []
    step = torch.optim.AdamW.step

    def spy(self, *args, **kwargs):
        step(self, *args, **kwargs)
        states.append([p.detach().clone() for p in trained])
        rates.append(self.param_groups[0]["lr"])

    with monkeypatch.context() as patched:
        patched.setattr(torch.optim.AdamW, "step", spy)
        rows = [Sequence((4, 5, 6, 7), 2)] * 4
        done = fit(adapted, rows, rows, Options(steps=9, learning_rate=1e-3, batch_size=2, progress=False))
    return done, trained, states, rates


def test_what_is_kept_is_the_mean_of_the_second_half(world, monkeypatch):
    done, trained, states, rates = spied(world, monkeypatch)
    assert 5 <= done.step <= 9
    for position, parameter in enumerate(trained):
        second_half = [state[position] for state in states[4 : done.step]]
        torch.testing.assert_close(parameter.detach(), torch.stack(second_half).mean(0))
    assert rates == pytest.approx([2e-4, 4e-4, 6e-4, 8e-4, *[1e-3] * 5])


def test_looking_at_held_out_rows_does_not_disturb_the_fit(world, monkeypatch):
    often = spied(world, monkeypatch)[2]
    monkeypatch.setattr("sst_mergekit.training.refit_fitting.CHECKS", 1)
    once = spied(world, monkeypatch)[2]
    for state, other in zip(often, once, strict=True):
        torch.testing.assert_close(state, other)


def test_the_total_weighs_both_losses():
    assert Losses(2.0, 1.0).total(0.25) == pytest.approx(1.25)


def test_what_cannot_be_refitted(world, tmp_path):
    data = Data(Source(str(world / "harm.jsonl")), Source(str(world / "benign.jsonl")))
    spec = ModelSpec(str(world / "utility"))
    same = Start(str(world / "base"), str(world / "base"))
    with pytest.raises(RecipeError, match="changes no linear layer of .*nothing to refit"):
        refit(spec, same, data, tmp_path / "out", QUICK)
    few = Data(data.harm, data.benign, samples=1)
    with pytest.raises(StatisticsError, match="at least two rows of harm"):
        refit(spec, start(world), few, tmp_path / "out", QUICK)
    with pytest.raises(StatisticsError, match="--learning-rate: nan is no rate"):
        Options(learning_rate=float("nan"))
    with pytest.raises(StatisticsError, match="--distill: 1.5 is no share"):
        Options(distill=1.5)
    with pytest.raises(StatisticsError, match="the loss is nan; lower --learning-rate"):
        run(world, tmp_path / "out", Options(steps=4, learning_rate=1e38, progress=False))
    assert not (tmp_path / "out").exists()
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    with pytest.raises(SstError, match="exists; choose another place"):
        run(world, tmp_path / "there")


def test_the_command_says_what_it_did(world, tmp_path):
    line = ["refit", "--model", str(world / "utility"), "--harm", str(world / "harm.jsonl")]
    line += ["--benign", str(world / "benign.jsonl"), "--out", str(tmp_path / "out"), "--quiet"]
    line += ["--patch", str(world / "base"), f"{world / 'base'}+{world / 'safety'}", "--steps", "10"]
    line += ["--fisher", str(world / "f-harm"), str(world / "f-benign")]
    result = CliRunner().invoke(main, line)
    assert result.exit_code == 0, result.output
    assert "of 10 kept; on held-out rows harm" in result.output
    assert json.loads((tmp_path / "out" / "adapter_config.json").read_text())["r"] == 2
    again = CliRunner().invoke(main, line)
    assert again.exit_code == 2
    assert "give --force to replace it" in again.output
