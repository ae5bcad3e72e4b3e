"""How many prompts a second are answered, by batch size.

Random weights never write an end mark, so every answer has all 64 tokens: the slowest case.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from report import Report
from tiny import tiny_llama

BATCH_SIZES = (1, 4, 16, 64)
PROMPTS = 64
WORDS = (8, 64)  # a prompt's length, at least and at most
SETTINGS = {"until": [], "do_sample": False, "temperature": 0.0, "max_gen_toks": 64}
TEN_MILLION = {
    "vocab_size": 8192,
    "hidden_size": 320,
    "intermediate_size": 864,
    "num_hidden_layers": 4,
    "num_attention_heads": 5,
    "num_key_value_heads": 5,
    "max_position_embeddings": 512,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("bench") / "model", seed=0, **TEN_MILLION)


def _requests() -> list[Instance]:
    chance = random.Random(0)
    prompts = [
        " ".join(f"w{chance.randrange(28)}" for _ in range(chance.randint(*WORDS))) for _ in range(PROMPTS)
    ]
    return [Instance("generate_until", {}, (prompt, SETTINGS), index) for index, prompt in enumerate(prompts)]


@pytest.mark.bench
def test_refusal_scoring(report: Report, model: Path) -> None:
    """Record prompts a second, of 64 new tokens each, for each batch size."""
    lm = HFLM(pretrained=str(model), device="cpu", dtype="float32")
    requests = _requests()
    for size in BATCH_SIZES:
        lm.batch_size_per_gpu = size
        start = time.perf_counter()
        answers = lm.generate_until(requests, disable_tqdm=True)
        seconds = time.perf_counter() - start
        assert len(answers) == PROMPTS
        report.figure("Scoring", f"10 M parameters, batches of {size}", [PROMPTS / seconds], "prompts/s")
