"""The refit itself: a patch learns to refuse harm and to leave the rest alone.

Loss ``w * NLL(harm) + (1 - w) * (k * KL(utility expert || model) + (1 - k) * NLL(benign))`` over response
tokens: refusals are taught by their text, benign answers by knowledge distillation (Hinton et al. 2015,
arXiv:1503.02531): by what the utility expert itself would say and by the data. The rate stays constant and
the states of the second half are averaged (Izmailov et al. 2018, arXiv:1803.05407), since a single state
forgets harm that the data do not hold. The average with the lowest loss on held-out rows is kept.
"""

from __future__ import annotations

import contextlib
import functools
import random
from collections.abc import Iterator
from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax
from tqdm import tqdm

from sst_mergekit.errors import StatisticsError
from sst_mergekit.statistics.tokens import IGNORED, Sequence, pad
from sst_mergekit.training.refit_settings import Options

CHECKS = 10  # looks at the held-out rows during a fit, in its second half
WARM_UP = 5  # steps


@dataclass(frozen=True)
class Losses:
    """Mean losses over held-out response tokens, in nats: NLL of harm's responses, the mix on benign ones."""

    harm: float
    benign: float

    def total(self, harm_weight: float) -> float:
        """Return the weighted sum that is minimised."""
        return harm_weight * self.harm + (1 - harm_weight) * self.benign


@dataclass(frozen=True)
class Fit:
    """What a refit did: held-out losses before and after, and the step that the kept average ends at."""

    before: Losses
    after: Losses
    step: int


def fit(model: Any, harm: Many[Sequence], benign: Many[Sequence], options: Options) -> Fit:
    """Refit what is trainable of a PEFT model's adapter, in place.

    Args:
        model: PEFT model whose base is the utility expert and whose adapter is the patch.
        harm, benign: tokenised conversations, at least two of either.
        options: steps, rate, weight, split.

    Raises:
        StatisticsError: too few rows, or the loss is not finite.
    """
    device = str(next(model.parameters()).device)
    parts = [_split(rows, options.held_out, options.seed + i) for i, rows in enumerate((harm, benign))]
    (learn_harm, held_harm), (learn_benign, held_benign) = parts
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=options.learning_rate, weight_decay=0.0)
    draw = random.Random(options.seed)  # noqa: S311  (not for secrecy)
    model.eval()  # no dropout: the teacher and the patch are the same network
    best = before = _held_out(model, held_harm, held_benign, options, device)
    state, kept = [p.detach().clone() for p in parameters], 0
    mean, first = [torch.zeros_like(p) for p in parameters], options.steps // 2 + 1
    every = max(1, options.steps // CHECKS)
    half = max(1, options.batch_size // 2)
    with tqdm(total=options.steps, desc="refit", unit="step", disable=not options.progress) as bar:
        for step in range(1, options.steps + 1):
            for group in optimiser.param_groups:
                group["lr"] = options.learning_rate * min(1.0, step / WARM_UP)
            refusals, answers = draw.choices(learn_harm, k=half), draw.choices(learn_benign, k=half)
            loss = options.harm_weight * _nll(model, refusals, device)
            loss = loss + (1 - options.harm_weight) * _benign(model, answers, device, options.distill)
            optimiser.zero_grad()
            loss.backward()
            if not bool(torch.isfinite(loss)):
                raise StatisticsError(f"step {step}: the loss is {loss.item()}; lower --learning-rate")
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            bar.update()
            if step < first:
                continue
            for total, parameter in zip(mean, parameters, strict=True):
                total.lerp_(parameter.detach(), 1 / (step - first + 1))
            if step % every == 0 or step == options.steps:
                with _holding(parameters, mean):
                    now = _held_out(model, held_harm, held_benign, options, device)
                bar.set_postfix(harm=f"{now.harm:.3f}", benign=f"{now.benign:.3f}")
                if now.total(options.harm_weight) < best.total(options.harm_weight):
                    best, kept, state = now, step, [value.clone() for value in mean]
    _put(parameters, state)
    return Fit(before, best, kept)


@contextlib.contextmanager
def _holding(parameters: Many[torch.nn.Parameter], values: Many[Tensor]) -> Iterator[None]:
    """Within the block the parameters hold `values`."""
    own = [p.detach().clone() for p in parameters]
    _put(parameters, values)
    try:
        yield
    finally:
        _put(parameters, own)


def _put(parameters: Many[torch.nn.Parameter], values: Many[Tensor]) -> None:
    with torch.no_grad():
        for parameter, value in zip(parameters, values, strict=True):
            parameter.copy_(value)


def _split(rows: Many[Sequence], share: float, seed: int) -> tuple[list[Sequence], list[Sequence]]:
    """Return the rows to learn from and those held out, at least one of each."""
    if len(rows) < 2:
        raise StatisticsError("a refit needs at least two rows of harm and two of benign data; give more")
    mixed = random.Random(seed).sample(list(rows), len(rows))  # noqa: S311
    count = min(len(rows) - 1, max(1, round(share * len(rows))))
    return mixed[count:], mixed[:count]


def _held_out(
    model: Any, harm: Many[Sequence], benign: Many[Sequence], options: Options, device: str
) -> Losses:
    with torch.no_grad():
        harm_loss = _mean(model, harm, options.batch_size, device, _nll)
        taught = functools.partial(_benign, distill=options.distill)
        return Losses(harm_loss, _mean(model, benign, options.batch_size, device, taught))


def _mean(model: Any, rows: Many[Sequence], size: int, device: str, loss: Any) -> float:
    """Return a loss over all response tokens of `rows`, weighted by their number."""
    total, tokens = 0.0, 0
    ordered = sorted(rows, key=lambda row: len(row.ids))
    for start in range(0, len(ordered), size):
        batch = ordered[start : start + size]
        count = sum(len(row.ids) - row.prompt_length for row in batch)
        total, tokens = total + float(loss(model, batch, device)) * count, tokens + count
    return total / tokens


def _nll(model: Any, rows: Many[Sequence], device: str) -> Tensor:
    logits, labels = _responses(model, rows, device)
    return cross_entropy(logits, labels)


def _benign(model: Any, rows: Many[Sequence], device: str, distill: float) -> Tensor:
    """Return distill * KL(utility expert || model) + (1 - distill) * NLL, the mean over response tokens."""
    ours, labels = _responses(model, rows, device)
    with torch.no_grad(), model.disable_adapter():
        theirs, _ = _responses(model, rows, device)
    kl = kl_div(log_softmax(ours, -1), log_softmax(theirs, -1), log_target=True, reduction="batchmean")
    return distill * kl + (1 - distill) * cross_entropy(ours, labels)


def _responses(model: Any, rows: Many[Sequence], device: str) -> tuple[Tensor, Tensor]:
    """Return the logits [n, vocabulary] in float32 and the labels [n] of the response tokens."""
    batch = pad(list(rows), device)
    logits = model(input_ids=batch.ids, attention_mask=batch.attention, use_cache=False).logits
    wanted = batch.labels != IGNORED
    return logits[wanted].float(), batch.labels[wanted]
