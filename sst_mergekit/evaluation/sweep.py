"""Many models scored by lm-eval's command in one process: adapters of one base, or checkpoints."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sst_mergekit.errors import EvaluationError
from sst_mergekit.evaluation.command import argv, lm_eval

HF_MODELS = ("hf", "hf-auto", "huggingface")
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
MODEL_FILES = ("config.json",)


def score_adapters(arguments: Sequence[str], adapters: Sequence[str], with_base: bool) -> None:
    """Runs lm-eval's command once for each adapter, on one base.

    Raises:
        EvaluationError: these arguments cannot be a run of many adapters, or results were not written.
    """
    settings, written = _asked("--adapters", arguments)
    if "pretrained" not in settings or {"peft", "delta"} & set(settings):
        raise EvaluationError("--adapters: name the base, and no adapter, by --model_args pretrained=BASE")
    output = _folder(written, "--adapters: give --output_path DIR, for one folder of results an adapter")
    _check_folders("--adapters", adapters, ADAPTER_FILES, "a PEFT adapter's folder")

    from sst_mergekit.evaluation.shared_base import shared_base

    with shared_base(), _environment_once():
        if with_base:
            _score(arguments, output, "the base")
        for adapter in adapters:
            _score(arguments, output, adapter, peft=adapter)


def score_models(arguments: Sequence[str], models: Sequence[str]) -> None:
    """Runs lm-eval's command once for each checkpoint, one in memory at a time.

    Raises:
        EvaluationError: these arguments cannot be a run of many models, or results were not written.
    """
    settings, written = _asked("--models", arguments)
    if {"pretrained", "peft", "delta"} & set(settings):
        raise EvaluationError(
            "--models: names what is scored; leave pretrained, peft and delta out of --model_args"
        )
    output = _folder(written, "--models: give --output_path DIR, for one folder of results a model")
    _check_folders("--models", models, MODEL_FILES, "a checkpoint's folder")
    with _environment_once():
        for model in models:
            _score(arguments, output, model, pretrained=model)
            gc.collect()  # the model, before the next one is loaded


def _asked(option: str, arguments: Sequence[str]) -> tuple[dict[str, Any], str | None]:
    """Returns lm-eval's ``--model_args`` and ``--output_path``; raises where no ``hf`` model is scored."""
    from lm_eval._cli import HarnessCLI

    with argv(arguments):
        asked = HarnessCLI().parse_args()
    model = (asked.model or "hf") if asked.command == "run" else asked.command
    if model not in HF_MODELS:
        raise EvaluationError(f"{option}: goes with 'run' and --model hf, not {model}")
    return dict(asked.model_args or {}), asked.output_path


def _folder(output: str | None, otherwise: str) -> Path:
    if output is None or output.endswith(".json"):
        raise EvaluationError(otherwise)
    return Path(output)


def _check_folders(option: str, names: Sequence[str], files: Sequence[str], expected: str) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            raise EvaluationError(f"{option}: {name} is named twice")
        missing = [file for file in files if not (Path(name) / file).is_file()]
        if Path(name).exists() and missing:
            raise EvaluationError(f"{option}: {name} has no {missing[0]}; give {expected}")


def _score(arguments: Sequence[str], output: Path, name: str, **model_args: str) -> None:
    from sst_mergekit.evaluation.processes import is_first

    before = set(output.rglob("results_*.json"))
    lm_eval([*arguments, *(["--model_args", json.dumps(model_args)] if model_args else [])])
    written = set(output.rglob("results_*.json")) - before
    if is_first() and not written:  # lm-eval swallows errors of saving
        raise EvaluationError(f"--output_path {output}: no results of {name} were written")


@contextmanager
def _environment_once() -> Iterator[None]:
    """Inside, the machine's description in lm-eval's result files is asked of the machine once."""
    from torch.utils import collect_env

    stock = collect_env.get_pretty_env_info
    collect_env.get_pretty_env_info = cache(stock)
    try:
        yield
    finally:
        collect_env.get_pretty_env_info = stock
