"""From a utility expert, a safety patch and calibration data to a PEFT adapter: ``sst-mergekit refit``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sst_mergekit.adapters.pair import Pair
from sst_mergekit.errors import StatisticsError
from sst_mergekit.files import new_directory, refuse_existing
from sst_mergekit.statistics.layers import linear_layers
from sst_mergekit.statistics.loading import ModelSpec, load_model, load_tokenizer, require_device
from sst_mergekit.statistics.rows import Source, read_conversations
from sst_mergekit.statistics.tokens import Sequence, tokenize
from sst_mergekit.training.refit_fitting import Fit, fit
from sst_mergekit.training.refit_settings import PARTS, Data, Options, Start
from sst_mergekit.training.start import factors


def refit(
    spec: ModelSpec,
    start: Start,
    data: Data,
    out: Path,
    options: Options,
    part: str = PARTS[0],
    force: bool = False,
) -> Fit:
    """Write an adapter on the utility expert: the patch, refitted; return what the fit did.

    Where the expert is an adapter itself, the result is an adapter on their base, to be added to it.

    Args:
        spec: the utility expert.
        start: the patch.
        data: calibration data.
        out: a directory that does not exist yet, unless ``force``.
        options: of the fit.
        part: ``factors``: both factors, which may leave the patch's directions; ``core``: the r x r matrix C
            of each layer's patch U C V', within its own singular directions.
        force: replace ``out``.

    Raises:
        RecipeError: the patch cannot be read.
        StatisticsError: the model cannot be loaded, or the fit fails.
        DataError: the data cannot be read.
        SstError: ``out`` exists.
    """
    require_device(spec.device)
    refuse_existing(out, force)
    tokenizer = load_tokenizer(spec)
    harm, benign = (_sequences(source, tokenizer, data, options.seed) for source in (data.harm, data.benign))
    model = load_model(spec)
    model = model.merge_and_unload() if spec.adapter else model
    modules = {layer.name: layer.transposed for layer in _adaptable(model)}
    patch = factors(start, modules)
    adapted = with_patch(model, patch, any(modules[name] for name in patch))
    with new_directory(out, force) as temporary:
        with only_cores(adapted) if part == "core" else contextlib.nullcontext():
            done = fit(adapted, harm, benign, options)
        for config in adapted.peft_config.values():
            config.base_model_name_or_path = spec.model
        for config in adapted.peft_config.values():  # a set, whose order is another in every process
            config.target_modules = sorted(config.target_modules)
        adapted.save_pretrained(temporary, safe_serialization=True)
    return done


def with_patch(model: Any, patch: Mapping[str, Pair], transposed: bool = False) -> Any:
    """Return the model with a LoRA of scale 1 that starts as `patch` (weight's name -> factors)."""
    from peft import LoraConfig, get_peft_model

    ranks = {name.removesuffix(".weight"): pair.rank for name, pair in patch.items()}
    largest = max(ranks.values())
    pattern = {f"^{module}": rank for module, rank in ranks.items() if rank != largest}
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=largest,
        lora_alpha=largest,
        lora_dropout=0.0,
        rank_pattern=pattern,
        alpha_pattern=dict(pattern),
        target_modules=sorted(ranks),
        fan_in_fan_out=transposed,
    )
    adapted: Any = get_peft_model(model, config)
    with torch.no_grad():
        for name, pair in patch.items():
            layer = adapted.get_submodule(f"base_model.model.{name.removesuffix('.weight')}")
            layer.lora_A["default"].weight.copy_(pair.right)
            layer.lora_B["default"].weight.copy_(pair.left)
    return adapted


class _Core(nn.Module):
    """``lora_A`` as scale * C V: C [r, r] is learnt, V [r, d_in] stays."""

    def __init__(self, right: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.right, self.scale = nn.Buffer(right), nn.Buffer(scale)

    def forward(self, core: Tensor) -> Tensor:
        return self.scale * core @ self.right


@contextlib.contextmanager
def only_cores(adapted: Any) -> Iterator[None]:
    """Within the block nothing is trainable but a matrix C [r, r] of each layer.

    The patch is ``U C V'`` with orthonormal U and V: it stays within its own directions on both sides.
    C is scaled to a root mean square singular value of 1 at first: a learning rate is a share of the patch.
    """
    layers: list[Any] = [module for module in adapted.modules() if isinstance(module, LoraLayer)]
    for layer in layers:
        a, b = layer.lora_A["default"], layer.lora_B["default"]
        right = _orthonormal_rows(a.weight.detach())
        left = _orthonormal_rows(b.weight.detach().T).T
        core = (left.T @ b.weight.detach()) @ (a.weight.detach() @ right.T)
        scale = (core.norm() / core.shape[0] ** 0.5).clamp_min(torch.finfo(core.dtype).tiny)
        with torch.no_grad():
            b.weight.copy_(left)
        b.weight.requires_grad_(False)
        a.weight = nn.Parameter(core / scale)
        parametrize.register_parametrization(a, "weight", _Core(right, scale), unsafe=True)
    try:
        yield
    finally:
        for layer in layers:
            parametrize.remove_parametrizations(layer.lora_A["default"], "weight")


def _orthonormal_rows(matrix: Tensor) -> Tensor:
    """Return an orthonormal basis [r, n] of the rows of `matrix` [r, n], r <= n."""
    return torch.linalg.qr(matrix.double().T).Q.T.to(matrix.dtype).contiguous()


def _adaptable(model: Any) -> list:
    """Return the linear layers of the blocks: what a LoRA can adapt without touching the vocabulary."""
    layers = [layer for layer in linear_layers(model)[0] if not (layer.embedding or layer.head)]
    if not layers:
        raise StatisticsError("the model has no linear layer that an adapter could change")
    return layers


def _sequences(source: Source, tokenizer: Any, data: Data, seed: int) -> list[Sequence]:
    conversations = read_conversations(source, data.samples, seed)
    templated = bool(tokenizer.chat_template)
    return [tokenize(each, tokenizer, data.max_length, templated) for each in conversations]
