"""Scoring ten merges of one base: `sst-mergekit eval`, one process, against ten processes of stock `lm_eval`.

Same prompts, batches, dtype and, as is checked, the same numbers. Stock's ten processes are alike and share
nothing, so one of them is run in each turn and counted tenfold. The model has 10 M parameters and random
weights, its end mark made likely, so that some answers end before their limit and some do not. The more
prompts, the smaller the ratio: what is saved is saved once a model, and the model's own work stays as it is.
"""

from __future__ import annotations

import json
import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from bench_scoring import TEN_MILLION
from report import Report
from turns import Side, in_turn

sys.path += [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "evaluation")]
from small_tasks import beavertails_row, question, write_jsonl  # noqa: E402
from tiny import tiny_llama  # noqa: E402

MERGES, PROMPTS, BATCH, RUNS = 10, 32, 16, 2
TASKS = "sst_beavertails_refusal,sst_over_refusal,sst_mmlu"
WORDS = [f"w{number}" for number in range(28)]
SECTION = "Start-up and scoring"


def _write_rows(folder: Path) -> None:
    chance = random.Random(0)

    def asked(shortest: int, longest: int, count: int = PROMPTS) -> list[str]:
        lengths = [chance.randint(shortest, longest) for _ in range(count)]
        return [f"{' '.join(chance.choices(WORDS, k=k))} {n}?" for n, k in enumerate(lengths)]

    rows = [beavertails_row(text, "self_harm") for text in asked(8, 64)]
    write_jsonl(folder / "beavertails/30k_test.jsonl", rows)
    write_jsonl(
        folder / "over_refusal/test.jsonl", [{"prompt": text, "label": "safe"} for text in asked(6, 20)]
    )
    write_jsonl(folder / "mmlu/test.jsonl", [question(text, "anatomy", 1) for text in asked(10, 60)])
    write_jsonl(folder / "mmlu/dev.jsonl", [question(text, "anatomy", 0) for text in asked(10, 60, 5)])


def _write_models(folder: Path) -> None:
    """A base, ten adapters on it and ten checkpoints near it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = tiny_llama(folder / "base", seed=0, **TEN_MILLION | {"max_position_embeddings": 2048})
    model = AutoModelForCausalLM.from_pretrained(base)
    with torch.no_grad():
        model.lm_head.weight[3] *= 2.2
    model.save_pretrained(base)
    settings = LoraConfig(r=8, target_modules="all-linear", init_lora_weights=False)
    for number in range(MERGES):
        torch.manual_seed(number)
        adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(base), settings)
        adapted.save_pretrained(folder / f"adapter{number}")
        merged = folder / f"merge{number}"
        adapted.merge_and_unload().save_pretrained(merged)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (merged / name).write_bytes((base / name).read_bytes())


def _results(out: Path) -> dict[str, object]:
    read = [json.loads(path.read_text()) for path in out.rglob("results_*.json")]
    return {results["model_name"]: results["results"] for results in read}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    _write_rows(folder / "data")
    _write_models(folder)
    return folder


@pytest.mark.bench
@pytest.mark.parametrize("kind", ["adapters", "models"])
def test_a_sweep_of_ten_merges(report: Report, world: Path, tmp_path: Path, kind: str) -> None:
    """Record the ratio of stock lm_eval's cost to ours."""
    from sst_mergekit.resources import tasks_path

    base, one = world / "base", {"adapters": "adapter", "models": "merge"}[kind]
    shared = [
        *("--model", "hf", "--device", "cpu", "--batch_size", str(BATCH), "--tasks", TASKS, "--log_samples"),
        *("--metadata", json.dumps({"data_dir": str(world / "data")}), "--model_args", "dtype=float32"),
    ]
    based = [f"pretrained={base}"] if kind == "adapters" else []
    each = [f"pretrained={base}", f"peft={world}/adapter0"] if based else [f"pretrained={world}/merge0"]
    stock = [*shared, *each, "--output_path", str(tmp_path / "stock")]
    ours = [*shared, *based, "--output_path", str(tmp_path / "ours")]
    ours += [f"--{kind}", *(str(world / f"{one}{number}") for number in range(MERGES))]
    lm_eval = [sys.executable, "-m", "lm_eval", "run", "--include_path", str(tasks_path())]
    sides = {
        "lm_eval": Side([*lm_eval, *stock]),
        "sst-mergekit eval": Side([sys.executable, "-m", "sst_mergekit", "eval", *ours]),
    }
    runs = in_turn(sides, runs=RUNS)
    found, [(first, expected)] = _results(tmp_path / "ours"), _results(tmp_path / "stock").items()
    assert len(found) == MERGES
    assert found[first] == expected
    one_of_ten = [replace(used, cpu=MERGES * used.cpu, wall=MERGES * used.wall) for used in runs["lm_eval"]]
    runs = {**runs, "lm_eval": one_of_ten}
    for quantity in ("cpu", "wall"):
        name = f"ten {kind} of one base, {quantity}: lm_eval against sst-mergekit eval"
        report.ratio(SECTION, name, runs, "lm_eval", "sst-mergekit eval", quantity, at_least=1.5)
