"""Many adapters in one process: the numbers are those of separate runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from tiny import tiny_adapter, tiny_llama
from torch.utils import collect_env

from sst_mergekit.cli import main
from sst_mergekit.evaluation.harness import load_tasks, score

PROMPTS = ("w1 w2", "w3", "w4 w5 w6 w7", "w8 w9 w10")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base and two adapters."""
    folder = tmp_path_factory.mktemp("adapters")
    base = tiny_llama(folder / "base", seed=0)
    for seed, name in enumerate("ab", start=1):
        tiny_adapter(folder / name, base, seed=seed, rank=seed + 1)
    return folder


def counted(monkeypatch: pytest.MonkeyPatch, where: object, name: str) -> list[object]:
    """A list that grows by what each call of a function returns."""
    calls, stock = [], getattr(where, name)

    def call(*args: object, **kwargs: object) -> object:
        calls.append(stock(*args, **kwargs))
        return calls[-1]

    monkeypatch.setattr(where, name, call)
    return calls


def results_in(folder: Path) -> dict[str, list]:
    """Model name -> what was scored, and every answer and likelihood."""
    found = {}
    for path in folder.rglob("results_*.json"):
        results = json.loads(path.read_text())
        lines = [file.read_text().splitlines() for file in sorted(path.parent.glob("samples_*.jsonl"))]
        answers = [[json.loads(line)["resps"] for line in file] for file in lines]
        found[Path(results["model_name"]).name] = [results["results"], answers]
    return found


@pytest.mark.slow
def test_the_command_gives_each_model_the_numbers_of_a_run_of_its_own(
    models: Path, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = f"pretrained={models / 'base'}"

    def run(out: Path, model_args: str, *more: str) -> None:
        arguments = ["eval", "--model", "hf", "--model_args", f"dtype=float32,{model_args or base}"]
        arguments += ["--device", "cpu", "--tasks", "sst_mmlu,sst_over_refusal", "--num_fewshot", "0"]
        arguments += ["--metadata", json.dumps({"data_dir": str(small_data)}), "--log_samples"]
        arguments += ["--gen_kwargs", "max_gen_toks=8", "--output_path", str(out), *more]
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output

    descriptions = counted(monkeypatch, collect_env, "get_pretty_env_info")
    run(tmp_path / "together", "", "--with_base", "--adapters", str(models / "a"), str(models / "b"))
    assert len(descriptions) == 1
    other = tiny_llama(models / "other", seed=9)
    run(tmp_path / "checkpoints", "revision=main", "--models", str(other), str(models / "base"))
    run(tmp_path / "alone", "")
    run(tmp_path / "alone", f"pretrained={other}")
    for name in "ab":
        run(tmp_path / "alone", f"{base},peft={models / name}")
    alone = results_in(tmp_path / "alone")
    assert len({json.dumps(results) for results in alone.values()}) == len(alone) == 4
    assert results_in(tmp_path / "together") == {name: alone[name] for name in ("base", "a", "b")}
    assert results_in(tmp_path / "checkpoints") == {name: alone[name] for name in ("other", "base")}
    assert all(len(answers) == 2 for _, answers in alone.values())


def test_when_memory_runs_out_the_batch_is_halved_and_the_answers_stay(
    models: Path, small_data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stock, sizes = HFLM._model_generate, []

    def generate(self: HFLM, context: torch.Tensor, **kwargs: object) -> torch.Tensor:
        sizes.append(len(context))
        if len(context) > 1:
            raise torch.OutOfMemoryError("as on a small card")
        return stock(self, context, **kwargs)

    short = {"sst_over_refusal": {"generation_kwargs": {"max_gen_toks": 4}}}
    tasks = load_tasks("sst_over_refusal", data_dir=small_data, overrides=short)
    lm = HFLM(pretrained=str(models / "base"), device="cpu", dtype="float32", batch_size=4)
    expected = score(lm, tasks, confirm_run_unsafe_code=False)["results"]
    monkeypatch.setattr(HFLM, "_model_generate", generate)
    assert score(lm, tasks, confirm_run_unsafe_code=False)["results"] == expected
    assert sizes == [4, 2, 1, 1, 1, 1]
    assert "out of memory with a batch of 4; going on with 2" in caplog.text
    monkeypatch.setattr(
        HFLM, "_model_generate", lambda *_, **__: (_ for _ in ()).throw(torch.OutOfMemoryError())
    )
    with pytest.raises(torch.OutOfMemoryError):
        score(lm, tasks, confirm_run_unsafe_code=False)


def test_generation_stops_as_soon_as_every_sequence_has_ended(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A contract with lm-eval and transformers: ``until: []`` still ends at the model's end mark."""
    lm = HFLM(pretrained=str(models / "base"), device="cpu", dtype="float32", batch_size=2)
    steps, end = [], lm.eot_token_id
    forward = lm.model.forward

    def ending(input_ids: torch.Tensor, **kwargs: object) -> object:
        steps.append(input_ids.shape)
        output = forward(input_ids=input_ids, **kwargs)
        done = torch.tensor([len(steps) >= 3, len(steps) >= 5])  # each row ends at a step of its own
        output.logits[: len(done), -1, end] = torch.where(done, 1e4, -1e4)
        return output

    monkeypatch.setattr(lm.model, "forward", ending)
    settings = {"until": [], "do_sample": False, "temperature": 0.0, "max_gen_toks": 64}
    requests = [
        Instance("generate_until", {}, (prompt, settings), index) for index, prompt in enumerate(PROMPTS[:2])
    ]
    lm.generate_until(requests, disable_tqdm=True)
    assert len(steps) == 5


def test_batches_are_sorted_by_length_longest_first(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lm = HFLM(pretrained=str(models / "base"), device="cpu", dtype="float32", batch_size=2)
    lengths, stock = [], HFLM._model_generate

    def generate(self: HFLM, context: torch.Tensor, **kwargs: object) -> torch.Tensor:
        lengths.append(context.shape[1])
        return stock(self, context, **kwargs)

    monkeypatch.setattr(HFLM, "_model_generate", generate)
    settings = {"until": [], "do_sample": False, "max_gen_toks": 2}
    requests = [
        Instance("generate_until", {}, (prompt, settings), index) for index, prompt in enumerate(PROMPTS)
    ]
    lm.generate_until(requests, disable_tqdm=True)
    assert lengths == [4, 2]
