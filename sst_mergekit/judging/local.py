"""A judge whose weights are on this machine: writes its answer, or gives probabilities by label."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from sst_mergekit.errors import EvaluationError, is_out_of_memory
from sst_mergekit.judging.judge import Pair
from sst_mergekit.judging.shapes.shape import Shape
from sst_mergekit.judging.verdict import Verdict
from sst_mergekit.statistics.fingerprint import identity
from sst_mergekit.statistics.loading import ModelSpec, load_model, load_tokenizer, split_revision


@dataclasses.dataclass(frozen=True)
class LocalJudge:
    """A loaded model that answers in the way of its shape."""

    shape: Shape
    model: Any
    tokenizer: Any
    identity: Mapping[str, Any]
    batch_size: int

    @property
    def sees_refusal(self) -> bool:
        """As the shape does."""
        return self.shape.sees_refusal

    def parse(self, answer: str) -> Verdict | None:
        """Return the verdict as the shape reads it."""
        return self.shape.parse(answer)

    def answers(self, pairs: Sequence[Pair]) -> Iterator[tuple[int, str]]:
        """Yield the answers batch by batch, longest first; half the batch from there on if memory runs out.

        Raises:
            EvaluationError: a pair is longer than the model reads, or memory runs out with one pair.
        """
        encoded = [self._encode(pair) for pair in pairs]
        order = sorted(range(len(pairs)), key=lambda i: len(encoded[i]), reverse=True)
        size = self.batch_size
        while order:
            batch = order[:size]
            try:
                texts = self._answer([encoded[i] for i in batch])
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                size = _half(len(batch), len(encoded[batch[0]]))
                continue
            yield from zip(batch, texts, strict=True)
            order = order[size:]

    def _encode(self, pair: Pair) -> list[int]:
        text = self.shape.text(self.tokenizer, *pair)
        ids = self.tokenizer(text, add_special_tokens=self.shape.special_tokens)["input_ids"]
        most = self.model.config.max_position_embeddings - (self.shape.new_tokens or 0)
        if len(ids) > most:
            raise EvaluationError(
                f"a prompt and response are {len(ids)} tokens, and the judge {self.shape.name} reads at most "
                f"{most}; generate with a smaller max_gen_toks, or choose another judge"
            )
        return ids

    @torch.inference_mode()
    def _answer(self, batch: list[list[int]]) -> list[str]:
        if self.shape.labels is None:
            return self._written(batch)
        ids, attention = self._padded(batch, left=False)
        probabilities = self.model(input_ids=ids, attention_mask=attention).logits.float().sigmoid()
        rows = [[round(value, 4) for value in row] for row in probabilities.tolist()]
        return [json.dumps(dict(zip(self.shape.labels, row, strict=True))) for row in rows]

    def _written(self, batch: list[list[int]]) -> list[str]:
        ids, attention = self._padded(batch, left=True)
        made = self.model.generate(
            input_ids=ids,
            attention_mask=attention,
            max_new_tokens=self.shape.new_tokens,
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            pad_token_id=self._pad,
        )
        return self.tokenizer.batch_decode(made[:, ids.shape[1] :], skip_special_tokens=True)

    def _padded(self, batch: list[list[int]], left: bool) -> tuple[Tensor, Tensor]:
        """Return ids and attention mask, both [batch, longest]."""
        longest = max(len(ids) for ids in batch)
        rows, mask = [], []
        for ids in batch:
            gap, ones = longest - len(ids), [1] * len(ids)
            rows.append([self._pad] * gap + ids if left else ids + [self._pad] * gap)
            mask.append([0] * gap + ones if left else ones + [0] * gap)
        device = self.model.device
        return torch.tensor(rows, device=device), torch.tensor(mask, device=device)

    @property
    def _pad(self) -> int:
        pad = self.tokenizer.pad_token_id
        return self.tokenizer.eos_token_id if pad is None else pad


def _half(size: int, tokens: int) -> int:
    """Return half the batch after memory ran out with `size` pairs, the longest of `tokens`."""
    if size == 1:
        raise EvaluationError(
            f"out of memory with one pair of {tokens} tokens; choose another --device or --dtype"
        )
    tqdm.write(f"out of memory: going on with --batch-size {size // 2}")
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return size // 2


def load_judge(shape: Shape, spec: ModelSpec, batch_size: int) -> LocalJudge:
    """Return the judge of this shape with the weights of `spec`.

    Raises:
        StatisticsError: the weights or the tokenizer cannot be loaded.
        EvaluationError: a classifier with other labels, or no pad token.
    """
    tokenizer = load_tokenizer(spec)
    architecture = "AutoModelForCausalLM" if shape.labels is None else "AutoModelForSequenceClassification"
    model = load_model(spec, architecture, plain=False)
    if shape.labels is not None:
        _prepare_classifier(model, tokenizer, shape, spec.model)
    about = {
        "judge": shape.name,
        "version": shape.version,
        **identity(*split_revision(spec.model)),
        "dtype": spec.dtype,
    }
    return LocalJudge(shape, model, tokenizer, about, batch_size)


def _prepare_classifier(model: Any, tokenizer: Any, shape: Shape, name: str) -> None:
    labels = tuple(model.config.id2label[i] for i in range(model.config.num_labels))
    if labels != shape.labels:
        raise EvaluationError(
            f"{name}: labels: got {len(labels)} ({labels[0]}, ...), expected those of {shape.model}; name "
            "such weights by --judge-model"
        )
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        raise EvaluationError(f"{name}: its tokenizer needs a pad token other than the end mark")
    model.config.pad_token_id = tokenizer.pad_token_id  # the score is read at the last other token
