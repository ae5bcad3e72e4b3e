"""Many models scored by lm-eval's command in one process: adapters of one base, or checkpoints."""

from __future__ import annotations

import gc
from argparse import Namespace
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sst_mergekit.errors import EvaluationError
from sst_mergekit.evaluation.command import execute, parsed
from sst_mergekit.evaluation.processes import is_first

HF_MODELS = ("hf", "hf-auto", "huggingface")
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
MODEL_FILES = ("config.json",)


def score_adapters(arguments: Sequence[str], adapters: Sequence[str], with_base: bool) -> None:
    """Run lm-eval's command once for each adapter, on one base.

    Raises:
        EvaluationError: these arguments cannot be a run of many adapters, or results were not written.
    """
    asked, settings = _asked("--adapters", arguments)
    if "pretrained" not in settings or {"peft", "delta"} & set(settings):
        raise EvaluationError("--adapters: name the base, and no adapter, by --model_args pretrained=BASE")
    output = _folder(asked, "--adapters: give --output_path DIR, for one folder of results an adapter")
    _check_folders("--adapters", adapters, ADAPTER_FILES, "a PEFT adapter's folder")
    base = {"the base": settings} if with_base else {}
    _score_each(asked, output, base | {name: settings | {"peft": name} for name in adapters})


def score_models(arguments: Sequence[str], models: Sequence[str]) -> None:
    """Run lm-eval's command once for each checkpoint.

    Raises:
        EvaluationError: these arguments cannot be a run of many models, or results were not written.
    """
    asked, settings = _asked("--models", arguments)
    if {"pretrained", "peft", "delta"} & set(settings):
        raise EvaluationError(
            "--models: names what is scored; leave pretrained, peft and delta out of --model_args"
        )
    output = _folder(asked, "--models: give --output_path DIR, for one folder of results a model")
    _check_folders("--models", models, MODEL_FILES, "a checkpoint's folder")
    _score_each(asked, output, {name: settings | {"pretrained": name} for name in models})


def _asked(option: str, arguments: Sequence[str]) -> tuple[Namespace, dict[str, Any]]:
    """Return the command and its ``--model_args``; raise where no ``hf`` model is scored."""
    asked = parsed(arguments)
    model = (asked.model or "hf") if asked.command == "run" else asked.command
    if model not in HF_MODELS:
        raise EvaluationError(f"{option}: goes with 'run' and --model hf, not {model}")
    return asked, dict(asked.model_args or {})


def _folder(asked: Namespace, otherwise: str) -> Path:
    if asked.output_path is None or asked.output_path.endswith(".json"):
        raise EvaluationError(otherwise)
    return Path(asked.output_path)


def _check_folders(option: str, names: Sequence[str], files: Sequence[str], expected: str) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            raise EvaluationError(f"{option}: {name} is named twice")
        missing = [file for file in files if not (Path(name) / file).is_file()]
        if Path(name).exists() and missing:
            raise EvaluationError(f"{option}: {name} has no {missing[0]}; give {expected}")


def _score_each(asked: Namespace, output: Path, models: dict[str, dict[str, Any]]) -> None:
    """Score what each ``--model_args`` loads, one in memory at a time."""
    from torch.utils import collect_env

    described = cache(collect_env.get_pretty_env_info)  # seconds each time, for lm-eval's result files
    with patch.object(collect_env, "get_pretty_env_info", described):
        for name, asked.model_args in models.items():
            before = set(output.rglob("results_*.json"))
            execute(asked)
            gc.collect()  # the model, before the next one is loaded
            if (
                is_first() and set(output.rglob("results_*.json")) <= before
            ):  # lm-eval swallows errors of saving
                raise EvaluationError(f"--output_path {output}: no results of {name} were written")
