"""Training a LoRA expert on conversations with PEFT: ``sst-mergekit train-lora``."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sst_mergekit.errors import DataError, StatisticsError, closest
from sst_mergekit.files import new_directory, refuse_existing, write_text
from sst_mergekit.statistics.layers import linear_layers
from sst_mergekit.statistics.loading import ModelSpec, load_model, load_tokenizer, require_device
from sst_mergekit.statistics.moe import SECOND, experts_of, routers_of
from sst_mergekit.statistics.rows import Conversation, Source, content_hash, read_conversations
from sst_mergekit.statistics.tokens import tokenize
from sst_mergekit.training.lora_fit import trainer
from sst_mergekit.training.lora_options import ALL_LINEAR, Options

NOTE = "training.json"
NO_MATTER = ("progress", "checkpoints", "checkpoint_folder")  # for what comes out


@dataclass(frozen=True)
class Trained:
    """Mean loss in the first and in the last tenth of the steps and of held-out rows, in nats a token."""

    first: float
    last: float
    validation: float | None = None


def train_lora(spec: ModelSpec, source: Source, out: Path, options: Options, force: bool = False) -> Trained:
    """Write an adapter on the model, trained on the responses of the conversations.

    ``training.json`` beside it has the options, the losses and the hash of what was trained on.

    Raises:
        StatisticsError: the model cannot be loaded, a loss is not finite, or checkpoints are another's.
        DataError: the data cannot be read.
        SstError: `out` exists.
    """
    require_device(spec.device)
    refuse_existing(out, force)
    tokenizer, chosen = load_tokenizer(spec), _conversations(source, options)
    long, chat = options.max_length, bool(tokenizer.chat_template)
    rows, held_out = ([tokenize(each, tokenizer, long, chat) for each in part] for part in chosen)
    asked = {name: value for name, value in asdict(options).items() if name not in NO_MATTER}
    note = {"model": spec.model, "dtype": spec.dtype, "data": source.location, "rows": len(rows)}
    note |= {"data_sha256": content_hash(chosen[0]), "options": asked}
    kept = (options.checkpoint_folder or out.parent) / f"{out.name}.checkpoints"
    if options.checkpoints:
        _claim(kept, json.dumps(note))
    model = with_lora(load_model(spec), options)
    with new_directory(out, force) as folder:
        training = trainer(model, rows, options, spec.device, kept if options.checkpoints else folder)
        losses, tenth = training.fit(), max(1, options.steps // 10)
        held_out_loss = training.mean_loss(held_out) if held_out else None
        done = Trained(sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth, held_out_loss)
        for config in model.peft_config.values():
            config.base_model_name_or_path = spec.model
            config.target_modules = sorted(config.target_modules)  # a set has another order in every process
        model.save_pretrained(folder, safe_serialization=True)
        write_text(folder / NOTE, json.dumps(note | {"loss": asdict(done)}, indent=1) + "\n")
    if options.checkpoints:
        shutil.rmtree(kept)
    return done


def _conversations(source: Source, options: Options) -> tuple[list[Conversation], list[Conversation]]:
    """Return what is trained on and what is held out."""
    found = read_conversations(source, options.samples, options.seed)
    if options.validation is not None:
        return found, read_conversations(replace(source, location=options.validation), None, options.seed)
    if options.validation_share is None:
        return found, []
    if (count := max(1, round(options.validation_share * len(found)))) == len(found):
        raise DataError(f"--validation-share: leaves nothing to train on of {len(found)} rows; lower it")
    mixed = random.Random(options.seed).sample(found, len(found))  # noqa: S311  (not for secrecy)
    return mixed[count:], mixed[:count]


def _claim(folder: Path, settings: str) -> None:
    """Make the checkpoints' folder, or see that those in it are of the same training."""
    note = folder / NOTE
    same = note.is_file() and note.read_text(encoding="utf-8") == settings
    if not same and any(folder.glob("checkpoint-*")):
        raise StatisticsError(f"{folder}: of a training with other options; remove it, or give them again")
    folder.mkdir(parents=True, exist_ok=True)
    write_text(note, settings)


def with_lora(model: Any, options: Options) -> Any:
    """Return the model with a fresh LoRA on its target modules.

    Raises:
        StatisticsError: no linear layer has such a name.
    """
    from peft import LoraConfig, get_peft_model

    targets = [each.strip() for each in options.target_modules.split(",")]
    known = {each.name.split(".")[-2] for each in linear_layers(model)[0] if not each.embedding}
    for name in {*targets} - {*known, ALL_LINEAR}:
        raise StatisticsError(f"--target-modules: no linear layer is called '{name}'{closest(name, known)}")
    parameters = [each.strip() for each in options.target_parameters.split(",") if each.strip()]
    _require_experts(model, parameters)
    torch.manual_seed(options.seed)
    config = LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha or 2 * options.rank,
        lora_dropout=options.dropout,
        target_modules=ALL_LINEAR if ALL_LINEAR in targets else targets,
        target_parameters=parameters or None,
        exclude_modules=[path for path, module in routers_of(model) if isinstance(module, nn.Linear)] or None,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def _require_experts(model: Any, parameters: list[str]) -> None:
    """Raise StatisticsError unless each name is of experts' parameters, by its last two parts."""
    found = [(each.path.rpartition(".")[2], {each.first, SECOND}) for each in experts_of(model)]
    known = {f"{path}.{name}" for path, names in found for name in names}
    for name in {*parameters} - known:
        raise StatisticsError(f"--target-parameters: no experts have '{name}'{closest(name, known)}")
