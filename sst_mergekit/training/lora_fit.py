"""transformers' Trainer for responses alone: a mean over their tokens, in parts that fit into memory."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import Trainer, TrainingArguments

from sst_mergekit.errors import StatisticsError
from sst_mergekit.statistics.tokens import IGNORED, Sequence, pad
from sst_mergekit.training.lora_options import Options


def trainer(model: Any, rows: list[Sequence], options: Options, device: str, folder: Path) -> ResponseTrainer:
    """Return what trains all that is trainable of the model, in place, with checkpoints in `folder`."""
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=options.steps,
        learning_rate=options.learning_rate,
        weight_decay=options.weight_decay,
        warmup_steps=int(options.warm_up * options.steps),  # rounded down: the first of them has rate 0
        per_device_train_batch_size=options.batch_size,
        gradient_accumulation_steps=options.accumulate,
        save_strategy="steps" if options.checkpoints else "no",
        save_steps=options.checkpoints or options.steps,
        save_total_limit=2,
        logging_steps=1,
        logging_nan_inf_filter=False,
        seed=options.seed,
        use_cpu=device == "cpu",
        disable_tqdm=not options.progress,
        report_to="none",
        remove_unused_columns=False,
    )
    arguments.gradient_checkpointing = arguments.activation_checkpointing = options.gradient_checkpointing
    if arguments.device.type == "cuda":  # this one, of however many there are
        place = torch.device("cuda", torch.device(device).index or 0)
        torch.cuda.set_device(place)
        arguments._setup_devices = arguments.distributed_state.device = place  # type: ignore[union-attr]
        arguments._n_gpu = 1
    return ResponseTrainer(model, arguments, _padded, rows)  # type: ignore[arg-type]


class ResponseTrainer(Trainer):
    """Trainer of response tokens."""

    loss_is_scaled_for_ga = True

    def fit(self) -> list[float]:
        """Train, from the newest checkpoint on; return the loss of each step.

        Raises:
            StatisticsError: a loss is not finite, or one conversation does not fit into memory.
        """
        self.part = self.args.per_device_train_batch_size  # rows that fit into memory at once
        whole: dict[int, str] = {}
        for state in Path(self.args.output_dir or "").glob("checkpoint-*/trainer_state.json"):
            with contextlib.suppress(ValueError):  # half of a file; it is a checkpoint's last
                whole[json.loads(state.read_text(encoding="utf-8"))["global_step"]] = str(state.parent)
        whole.pop(self.args.max_steps, None)  # Trainer would go on to another step
        self.train(whole[max(whole)] if whole else None)
        self.model.eval()  # type: ignore[union-attr]
        return [each["loss"] for each in self.state.log_history]

    def get_batch_samples(self, *args: Any) -> tuple[list, int]:
        """Return the batches of one step, and how many response tokens they have."""
        batches, _ = super().get_batch_samples(*args)
        return batches, sum(int((batch["labels"] != IGNORED).sum()) for batch in batches)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """Return the loss of a batch and add its gradients, in parts, which are halved where memory ends."""
        learnt = [each for each in model.parameters() if each.requires_grad]
        before = [None if each.grad is None else each.grad.clone() for each in learnt]
        while True:
            try:
                loss = torch.zeros((), device=self.args.device)
                for start in range(0, len(inputs["labels"]), self.part):
                    part = {name: each[start : start + self.part] for name, each in inputs.items()}
                    loss += super().training_step(model, part, num_items_in_batch)
                return loss
            except torch.OutOfMemoryError:
                if self.part == 1:
                    raise StatisticsError("one conversation does not fit; lower --max-length") from None
            self.part //= 2
            for each, gradient in zip(learnt, before, strict=True):
                each.grad = None if gradient is None else gradient.clone()
            torch.cuda.empty_cache()

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        """Return the batch's share of the mean loss over the step's response tokens."""
        return (summed_loss(model, inputs) / num_items_in_batch).to(self.args.device)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Keep a step's loss and show it in the bar; raise StatisticsError if it is not finite."""
        if (loss := logs.get("loss")) is None:
            return  # the summary of the end
        if not math.isfinite(loss):
            raise StatisticsError(f"step {self.state.global_step}: the loss is {loss}; lower --learning-rate")
        self.state.log_history.append({"loss": loss, "step": self.state.global_step})
        for callback in self.callback_handler.callbacks:
            if bar := getattr(callback, "training_bar", None):
                bar.set_postfix(loss=f"{loss:.3f}")

    @torch.no_grad()
    def mean_loss(self, rows: list[Sequence]) -> float:
        """Return the mean loss over the rows' response tokens."""
        parts = (_padded(rows[start : start + self.part]) for start in range(0, len(rows), self.part))
        total = sum(summed_loss(self.model, self._prepare_inputs(part)).item() for part in parts)
        return total / sum(row.predicted for row in rows)


def summed_loss(model: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    """Return the summed loss of the response tokens; a head that can be found sees no other position."""
    wanted = inputs["labels"] != IGNORED

    def choose(_: Any, given: tuple) -> Any:
        return given[0][wanted.to(given[0].device)] if given[0].shape[:-1] == wanted.shape else None

    head = model.get_output_embeddings()
    with head.register_forward_pre_hook(choose) if head is not None else contextlib.nullcontext():
        logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
    if logits.dim() == 3:
        logits = logits[wanted.to(logits.device)]
    return cross_entropy(logits.float(), inputs["labels"][wanted].to(logits.device), reduction="sum")


def _padded(rows: list[Sequence]) -> dict[str, Tensor]:
    batch = pad(rows, "cpu")
    return {"input_ids": batch.ids, "attention_mask": batch.attention, "labels": batch.labels}
