"""Training a LoRA expert on conversations with PEFT: ``sst-mergekit train-lora``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from sst_mergekit.errors import StatisticsError
from sst_mergekit.files import new_directory, refuse_existing, write_text
from sst_mergekit.statistics.loading import ModelSpec, load_model, load_tokenizer, require_device
from sst_mergekit.statistics.rows import Source, content_hash, read_conversations
from sst_mergekit.statistics.tokens import IGNORED, Sequence, pad, tokenize
from sst_mergekit.training.lora_options import Options

NOTE = "training.json"
WARM_UP = 0.05  # share of the steps


@dataclass(frozen=True)
class Trained:
    """Mean loss of the first and of the last tenth of the steps, in nats a response token."""

    first: float
    last: float


def train_lora(spec: ModelSpec, source: Source, out: Path, options: Options, force: bool = False) -> Trained:
    """Write an adapter on the model, trained on the responses of the conversations.

    ``training.json`` beside it has the options, the loss and the hash of what was trained on.

    Raises:
        StatisticsError: the model cannot be loaded, or the loss is not finite.
        DataError: the data cannot be read.
        SstError: `out` exists.
    """
    require_device(spec.device)
    refuse_existing(out, force)
    conversations = read_conversations(source, options.samples, options.seed)
    tokenizer = load_tokenizer(spec)
    templated = bool(tokenizer.chat_template)
    rows = [tokenize(each, tokenizer, options.max_length, templated) for each in conversations]
    model = with_lora(load_model(spec), options.rank, options.seed)
    with new_directory(out, force) as folder:
        losses = fit(model, rows, options, spec.device)
        for config in model.peft_config.values():
            config.base_model_name_or_path = spec.model
        for config in model.peft_config.values():  # a set, whose order is another in every process
            config.target_modules = sorted(config.target_modules)
        model.save_pretrained(folder, safe_serialization=True)
        tenth = max(1, len(losses) // 10)
        done = Trained(sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth)
        note = {"model": spec.model, "data": source.location, "rows": len(rows)}
        note |= {"data_sha256": content_hash(conversations), "options": asdict(options), "loss": asdict(done)}
        write_text(folder / NOTE, json.dumps(note, indent=1) + "\n")
    return done


def with_lora(model: Any, rank: int, seed: int) -> Any:
    """Return the model with a fresh LoRA on every linear layer of its blocks."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return get_peft_model(model, config)


def fit(model: Any, rows: list[Sequence], options: Options, device: str) -> list[float]:
    """Train what is trainable of the model in place; return the loss of each step.

    Raises:
        StatisticsError: a loss is not finite, or one conversation does not fit into memory.
    """
    from tqdm import tqdm

    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=options.learning_rate, weight_decay=0.0)
    draw = torch.Generator().manual_seed(options.seed)
    warm_up, part = max(1, round(WARM_UP * options.steps)), options.batch_size
    losses = []
    model.train()
    bar = tqdm(range(options.steps), desc="train", unit="step", disable=not options.progress)
    for step in bar:
        rate = min((step + 1) / warm_up, (options.steps - step) / (options.steps - warm_up + 1))
        for group in optimiser.param_groups:
            group["lr"] = options.learning_rate * rate
        chosen = torch.randint(len(rows), (options.batch_size,), generator=draw).tolist()
        loss, part = _gradients(model, [rows[i] for i in chosen], part, device)
        if not torch.isfinite(torch.tensor(loss)):
            raise StatisticsError(f"step {step + 1}: the loss is {loss}; lower --learning-rate")
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        losses.append(loss)
        bar.set_postfix(loss=f"{loss:.3f}")
    model.eval()
    return losses


def _gradients(model: Any, rows: list[Sequence], part: int, device: str) -> tuple[float, int]:
    """Return the mean loss over the rows' responses, its gradients in place, and the part that fitted."""
    tokens = sum(len(row.ids) - max(row.prompt_length, 1) for row in rows)
    while True:
        model.zero_grad()
        try:
            total = 0.0
            for start in range(0, len(rows), part):
                loss = _summed_loss(model, rows[start : start + part], device) / tokens
                loss.backward()
                total += loss.item()
            return total, part
        except torch.OutOfMemoryError:
            if part == 1:
                raise StatisticsError("one conversation does not fit; lower --max-length") from None
            part //= 2
            torch.cuda.empty_cache()


def _summed_loss(model: Any, rows: list[Sequence], device: str) -> Tensor:
    batch = pad(rows, device)
    logits = model(input_ids=batch.ids, attention_mask=batch.attention).logits
    wanted = batch.labels != IGNORED
    return cross_entropy(logits[wanted].float(), batch.labels[wanted], reduction="sum")
