"""Scoring a tiny checkpoint with the lm-eval tasks."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from sst_mergekit.testbeds.harness import language_model
from sst_mergekit.testbeds.real.loading import Loading
from sst_mergekit.testbeds.scoring import Inputs

RESPONSE_TOKENS = 24


def results_of(model: Path, adapter: Path | None, data_dir: Path, inputs: Inputs) -> dict[str, Any]:
    """Return lm-eval's results of a checkpoint on tasks, with their samples.

    Args:
        model, adapter: a checkpoint, and an adapter on it.
        data_dir: the folder of one split.
        inputs: ``tasks``, ``batch_size``, ``max_length`` (longer prompts lose their beginning) and
            ``samples`` (prompts a task at most, None for all).

    The model's programs are run in the sandboxed executor: the world's own tiny models write them.
    """
    from sst_mergekit.evaluation.harness import score

    more = {key: inputs[key] for key in ("batch_size", "max_length")}
    lm = language_model(model, adapter, Loading("float32", "cpu"), **more)
    chosen = _tasks(str(data_dir), tuple(inputs["tasks"]), inputs["samples"])
    return score(lm, chosen, confirm_run_unsafe_code=True, apply_chat_template=True)


@functools.lru_cache(maxsize=8)
def _tasks(data_dir: str, names: tuple[str, ...], samples: int | None) -> dict[str, Any]:
    from sst_mergekit.evaluation.harness import load_tasks

    short = {"generation_kwargs": {"max_gen_toks": RESPONSE_TOKENS}}
    return load_tasks(
        list(names),
        data_dir=data_dir,
        metadata={} if samples is None else {"samples": samples},
        overrides={task: {"num_fewshot": 0} if task == "sst_mmlu" else short for task in names},
    )
