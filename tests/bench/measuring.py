"""One way to measure a 100M-class Llama, run as a script: ``measuring.py WAY [LAYERS] [SEQUENCES]``.

Ways: ``plain`` (forward and backward with all weights' gradients), a kind of statistics, ``one_by_one`` (the
diagonal by a backward pass for each sequence), ``kronfluence`` and ``bergson`` (their covariance
matrices, the empirical ones; bergson's of the decoder alone, at response tokens).
Random weights and tokens; sequences of 96 to 160 tokens, a third of them a prompt; batches of 8.
"""

from __future__ import annotations

import sys
import tempfile
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM
from usage import measured

from sst_mergekit.statistics.collect import Options, collect
from sst_mergekit.statistics.kinds.kind import Axes
from sst_mergekit.statistics.settings import Form
from sst_mergekit.statistics.tokens import IGNORED, Sequence, batches, pad

SIZES = {"vocab_size": 2048, "hidden_size": 768, "intermediate_size": 2048, "num_attention_heads": 12}
BATCH = 8


def model(layers: int = 12, dtype: str = "float32", **sizes: int) -> Any:
    """Return the model: 88M parameters with 12 layers."""
    torch.manual_seed(0)
    config = LlamaConfig(**(SIZES | sizes), num_hidden_layers=layers, tie_word_embeddings=False)
    return LlamaForCausalLM(config).to(getattr(torch, dtype)).eval()


def data(count: int) -> list[Sequence]:
    """Return random sequences."""
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(96, 161, (count,), generator=generator).tolist()
    return [
        Sequence(tuple(torch.randint(0, 2048, (n,), generator=generator).tolist()), n // 3) for n in lengths
    ]


def _loss(found: Any, ids: Tensor, attention: Tensor, labels: Tensor) -> Tensor:
    logits = found(input_ids=ids, attention_mask=attention, use_cache=False).logits
    return cross_entropy(
        logits.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum"
    )


def _plain(found: Any, sequences: list[Sequence]) -> None:
    for batch in batches(sequences, BATCH, "cpu"):
        found.zero_grad(set_to_none=True)
        _loss(found, batch.ids, batch.attention, batch.labels).backward()


def _one_by_one(found: Any, sequences: list[Sequence]) -> None:
    sums = {name: torch.zeros_like(weight) for name, weight in found.named_parameters()}
    for batch in batches(sequences, 1, "cpu"):
        found.zero_grad(set_to_none=True)
        _loss(found, batch.ids, batch.attention, batch.labels).backward()
        for name, weight in found.named_parameters():
            sums[name] += weight.grad.square()


def _statistics(kind: str, found: Any, sequences: list[Sequence]) -> None:
    axes = {}
    if kind == "subspace":
        for name, each in found.named_modules():
            if isinstance(each, nn.Linear) and ".layers." in name:
                sides = (torch.linalg.qr(torch.randn(n, 16)).Q for n in each.weight.shape)
                axes[f"{name}.weight"] = Axes(*sides)
    options = Options(kind, Form(axes=axes or None), batch_size=BATCH, progress=False)
    with measured():
        collect(found, sequences, options)


def _kronfluence(found: Any, sequences: list[Sequence]) -> None:
    from kronfluence import Analyzer, Task, prepare_model
    from kronfluence.arguments import FactorArguments

    class Response(Task):
        """The summed loss of the response."""

        def compute_train_loss(self, batch: dict, model: nn.Module, sample: bool = False) -> Tensor:
            """Return it."""
            return _loss(model, batch["ids"], batch["attention"], batch["labels"])

        def compute_measurement(self, batch: dict, model: nn.Module) -> Tensor:
            """Return the same."""
            return self.compute_train_loss(batch, model)

        def get_attention_mask(self, batch: dict) -> Tensor:
            """Return the mask."""
            return batch["attention"]

    whole = pad(sorted(sequences, key=lambda one: -len(one.ids)), "cpu")
    rows = [
        {"ids": ids, "attention": attention, "labels": labels}
        for ids, attention, labels in zip(whole.ids, whole.attention, whole.labels, strict=True)
    ]
    task = Response()
    with tempfile.TemporaryDirectory() as folder:
        analyzer = Analyzer(
            "bench", prepare_model(found, task), task, cpu=True, output_dir=folder, disable_tqdm=True
        )
        with measured():
            analyzer.fit_covariance_matrices(
                "factors",
                rows,  # type: ignore[arg-type]
                per_device_batch_size=BATCH,
                factor_args=FactorArguments(use_empirical_fisher=True),
            )


def _bergson(found: Any, sequences: list[Sequence]) -> None:
    from bergson.hessians.kfac import CovarianceCollector

    found.requires_grad_(False)
    found.get_input_embeddings().requires_grad_(True)  # as bergson's own set-up does
    with tempfile.TemporaryDirectory() as folder, measured():
        collector = CovarianceCollector(model=found.model, dtype=torch.float32, path=folder)
        for batch in batches(sequences, BATCH, "cpu"):
            with collector.with_batch(batch.labels != IGNORED):
                _loss(found, batch.ids, batch.attention, batch.labels).backward()


def main(way: str, layers: int, count: int, dtype: str = "float32") -> None:
    """Measure in one way."""
    torch.set_num_threads(1)
    found, sequences = model(layers, dtype), data(count)
    if way in ("kronfluence", "bergson"):
        {"kronfluence": _kronfluence, "bergson": _bergson}[way](found, sequences)
    elif way in ("plain", "one_by_one"):
        with measured():
            {"plain": _plain, "one_by_one": _one_by_one}[way](found, sequences)
    else:
        _statistics(way, found, sequences)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
