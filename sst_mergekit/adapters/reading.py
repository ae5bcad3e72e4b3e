"""Reading a LoRA adapter, one layer at a time: its configuration, and the scaled factors of each layer."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mergekit.common import ModelPath, ModelReference
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sst_mergekit.adapters.kinds import require_plain_lora
from sst_mergekit.adapters.pair import Pair
from sst_mergekit.checkpoints import headers
from sst_mergekit.errors import RecipeError
from sst_mergekit.hub import download
from sst_mergekit.recipe.checkpoint import local_headers
from sst_mergekit.statistics.adapter_fit import UNCHANGED
from sst_mergekit.statistics.forms import PEFT, bare_name

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_LINEAR = re.compile(r"^base_model\.model\.(.+)\.lora_(A|B)\.weight$")
_EMBEDDING = re.compile(r"^base_model\.model\.(.+)\.lora_embedding_(A|B)$")


@dataclass(frozen=True)
class Layer:
    """The factors of one layer: the names of A and B in the file, the rank r, and the scale of ``B A``."""

    a: str
    b: str
    rank: int
    scale: float
    embedding: bool


@dataclass(frozen=True)
class Adapter:
    """A plain LoRA adapter on disk.

    Attributes:
        source: as the recipe names it.
        directory: where its files are.
        config: adapter_config.json.
        layers: module -> factors; the module as the base model names it (``model.layers.0.mlp.up_proj``).
    """

    source: str
    directory: Path
    config: Mapping[str, Any]
    layers: Mapping[str, Layer]

    def pair(self, module: str, device: str = "cpu") -> Pair:
        """Return the change of one layer [d_out, d_in], the scale folded into its left factor.

        Raises:
            RecipeError: the file is damaged, or holds numbers that are not finite.
        """
        layer = self.layers[module]
        path = self.directory / WEIGHTS
        try:
            with safe_open(path, framework="pt", device=device) as file:
                a, b = (file.get_tensor(name).to(torch.float64) for name in (layer.a, layer.b))
        except (SafetensorError, OSError) as error:
            raise RecipeError(f"{path}: cannot read {layer.a} ({error}); save the adapter again") from None
        if not _finite(a, b):
            raise RecipeError(f"{path}: the factors of {module} are not finite; train the adapter again")
        return Pair(b * layer.scale, a)


def _finite(*tensors: Tensor) -> bool:
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)


def read_adapter(path: ModelPath, base: ModelPath | None = None) -> Adapter:
    """Return the adapter at a local directory or Hub repository; its factors are read when asked for.

    Args:
        path: of the adapter.
        base: the model it is on; where that is here, the adapter may hold an adapted embedding's own weight,
            unchanged, as PEFT saves it.

    Raises:
        RecipeError: nothing usable is there, or it is more than plain LoRA.
    """
    directory, source = _locate(path), str(path)
    config = _configuration(source, directory / CONFIG)
    require_plain_lora(source, config)
    return Adapter(source, directory, config, _layers(source, directory, config, base))


def _locate(path: ModelPath) -> Path:
    directory = Path(path.path)
    if not directory.is_dir():
        directory = download(path.path, path.revision, (CONFIG, WEIGHTS), str(path), RecipeError)
    for name in (CONFIG, WEIGHTS):
        if not (directory / name).is_file():
            raise RecipeError(f"{path}: holds no {name}; save the adapter again with PEFT's save_pretrained")
    return directory


def _configuration(source: str, path: Path) -> Mapping[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RecipeError(f"{path}: cannot be read ({error}); save the adapter again") from None
    if not isinstance(config, Mapping):
        raise RecipeError(f"{source}: its {CONFIG} holds no mapping; save the adapter again")
    return config


def _layers(
    source: str, directory: Path, config: Mapping[str, Any], base: ModelPath | None
) -> dict[str, Layer]:
    """Return the layers of the file in its own order, each with both factors of one rank."""
    path = directory / WEIGHTS
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise RecipeError(
            f"{path}: not a readable safetensors file ({error}); save the adapter again"
        ) from None
    found: dict[str, dict[str, str]] = {}
    for name, shape in shapes.items():
        if UNCHANGED.search(name) and base is not None and _is_of(base, path, name):
            continue
        match = _LINEAR.match(name) or _EMBEDDING.match(name)
        if match is None or len(shape) != 2:
            raise RecipeError(
                f"{source}: holds {name}, which is no LoRA factor of a linear layer or embedding; "
                "use the full merge, or save the adapter without it (PEFT: save_embedding_layers=False)"
            )
        found.setdefault(match[1], {})[match[2]] = name
    return {module: _layer(source, config, module, names, shapes) for module, names in sorted(found.items())}


def _is_of(base: ModelPath, path: Path, name: str) -> bool:
    """Return whether a whole weight in an adapter's file is the model's own."""
    weight = bare_name(UNCHANGED.sub(".weight", name.removeprefix(PEFT)))
    own = {
        bare_name(key): header for key, header in (local_headers(ModelReference(model=base)) or {}).items()
    }
    saved = headers([path])[name]
    found = own.get(weight)
    if found is None or found.shape != saved.shape:
        return False
    with safe_open(found.file, framework="pt") as file:
        keys = file.keys()
        original = next(file.get_tensor(key) for key in keys if bare_name(key) == weight)
    with safe_open(path, framework="pt") as file:
        return torch.equal(file.get_tensor(name), original.to(file.get_tensor(name).dtype))


def _layer(
    source: str, config: Mapping[str, Any], module: str, names: dict[str, str], shapes: dict[str, tuple]
) -> Layer:
    if set(names) != {"A", "B"}:
        raise RecipeError(f"{source}: {module} has only factor {min(names)}; save the adapter again")
    rank, scale = _scale(source, config, module)
    if shapes[names["A"]][0] != rank or shapes[names["B"]][1] != rank:
        got = f"{list(shapes[names['A']])} and {list(shapes[names['B']])}"
        raise RecipeError(
            f"{source}: the factors of {module} are {got}, but {CONFIG} says rank {rank}; save it again"
        )
    return Layer(names["A"], names["B"], rank, scale, ".lora_embedding_" in names["A"])


def _scale(source: str, config: Mapping[str, Any], module: str) -> tuple[int, float]:
    """Return rank and scale of a layer as PEFT finds them: alpha / r, or alpha / sqrt(r) for rsLoRA."""
    from peft.utils.other import get_pattern_key

    numbers = []
    for key, pattern in (("r", "rank_pattern"), ("lora_alpha", "alpha_pattern")):
        special = config.get(pattern) or {}
        try:
            value = special.get(get_pattern_key(list(special), module), config.get(key))
        except (AttributeError, TypeError, re.error):
            raise RecipeError(
                f"{source}: {pattern} is {special!r}, expected numbers by parts of names; save it again"
            ) from None
        if not isinstance(value, int | float) or not 0 < value < math.inf:
            raise RecipeError(f"{source}: {key} is {value!r} for {module}, expected a number > 0")
        numbers.append(value)
    rank, alpha = numbers
    return int(rank), alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def factor_names(module: str, embedding: bool) -> tuple[str, str]:
    """Return the names of A and B of a module in an adapter's file.

    >>> factor_names("lm_head", embedding=False)[0]
    'base_model.model.lm_head.lora_A.weight'
    """
    form = "lora_embedding_{}" if embedding else "lora_{}.weight"
    a, b = (f"{PEFT}{module}.{form.format(side)}" for side in "AB")
    return a, b
