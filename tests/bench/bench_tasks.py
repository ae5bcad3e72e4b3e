"""How long each task takes: seconds for 100 prompts, on a model that never ends an answer by itself.

Random weights write up to the limit of each task, so these are the slowest answers; a model that ends its
answers is faster. IFEval needs its packages and is left out without them.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from bench_scoring import TEN_MILLION
from report import Report
from tiny import tiny_llama

sys.path.append(str(Path(__file__).parents[1] / "evaluation"))
from small_tasks import beavertails_row, problem, question, write_jsonl  # noqa: E402

PROMPTS, BATCH = 16, 16
LIMITS = {
    "sst_beavertails_refusal": 64,
    "sst_beavertails_eval": 64,
    "sst_jailbreak": 64,
    "sst_over_refusal": 64,
    "sst_xstest": 64,
    "sst_orbench_hard": 64,
    "sst_jbb_benign": 64,
    "sst_mmlu": 0,
    "sst_mmlu_0shot": 0,
    "sst_humaneval": 1024,
    "sst_gsm8k": 256,
}  # new tokens a prompt
LONGER = TEN_MILLION | {"max_position_embeddings": 2048}


def _write_rows(folder: Path) -> None:
    def asked(text: str) -> list[str]:
        return [f"{text} number {number} w{number % 28}?" for number in range(PROMPTS)]

    write_jsonl(
        folder / "beavertails/30k_test.jsonl", [beavertails_row(p, "self_harm") for p in asked("a thing")]
    )
    write_jsonl(
        folder / "beavertails_eval/test.jsonl",
        [{"prompt": p, "category": "animal_abuse"} for p in asked("one")],
    )
    for name, rest in (("over_refusal", {}), ("xstest", {"type": "homonyms"})):
        rows = [{"prompt": p, "label": "safe", **rest} for p in asked(name)]
        write_jsonl(folder / name / "test.jsonl", rows)
    write_jsonl(folder / "orbench_hard/test.jsonl", [{"prompt": p} for p in asked("hard")])
    write_jsonl(folder / "jbb_benign/test.jsonl", [{"Goal": p} for p in asked("goal")])
    write_jsonl(folder / "mmlu/test.jsonl", [question(p, "anatomy", 1) for p in asked("which")])
    write_jsonl(folder / "mmlu/dev.jsonl", [question(f"example {n}", "anatomy", 0) for n in range(5)])
    heads = [f'def f{n}(x):\n    """Return w{n % 28}."""\n' for n in range(PROMPTS)]
    problems = [problem(head, f"f{n}", "    return x\n", "1) == 1") for n, head in enumerate(heads)]
    write_jsonl(folder / "humaneval/test.jsonl", problems)
    sums = [{"question": p, "answer": "#### 1"} for p in asked("sum")]
    write_jsonl(folder / "gsm8k/test.jsonl", sums)
    write_jsonl(folder / "gsm8k/train.jsonl", sums[:8])


@pytest.mark.bench
def test_tasks(report: Report, tmp_path: Path) -> None:
    """Record the seconds of each task."""
    os.environ["TQDM_DISABLE"] = "1"
    from lm_eval.models.huggingface import HFLM

    from sst_mergekit.evaluation.harness import load_tasks, score

    _write_rows(tmp_path / "data")
    model = tiny_llama(tmp_path / "model", seed=0, **LONGER)
    lm = HFLM(pretrained=str(model), device="cpu", dtype="float32", batch_size=BATCH)
    for name, limit in LIMITS.items():
        metadata = {"samples": PROMPTS // 8} if name == "sst_jailbreak" else None  # 8 wrappings of each
        tasks = load_tasks(name, data_dir=tmp_path / "data", metadata=metadata)
        start = time.perf_counter()
        found = score(lm, tasks, confirm_run_unsafe_code=True)
        seconds = time.perf_counter() - start
        assert len(found["samples"][name]) == PROMPTS
        told = f"{name}: 100 prompts, {limit} new tokens each, batches of {BATCH}, 10 M parameters"
        report.figure("Scoring", told, [100 * seconds / PROMPTS], "s")
