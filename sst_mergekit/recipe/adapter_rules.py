"""Rules on the adapters of a recipe: there, readable, of the model before their ``+``, and applied whole."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mergekit.common import ModelPath, ModelReference

from sst_mergekit.checkpoints import ADAPTER, ADAPTER_CONFIG, PICKLED_ADAPTER, Header, headers
from sst_mergekit.errors import SstError
from sst_mergekit.recipe.checkpoint import directory_of, is_local, local_headers, surely_others
from sst_mergekit.recipe.fault import Fault, first_and_count
from sst_mergekit.recipe.model_rules import paths
from sst_mergekit.recipe.parse import Recipe
from sst_mergekit.statistics.adapter_fit import other_base
from sst_mergekit.statistics.forms import PEFT, bare_name

EMBEDDINGS = ("embed_tokens", "wte", "lm_head")
_FACTOR = re.compile(r"\.lora_(?:embedding_)?([AB])(?:\.weight)?$")


def adapters_there(recipe: Recipe) -> Iterator[Fault]:
    """Yield local adapters that are not there, or lack their configuration or weights."""
    for adapter, key in paths(recipe, adapters=True).items():
        directory = Path(adapter.path)
        if not is_local(adapter.path):
            continue
        if not directory.is_dir():
            yield Fault(key, f"adapter '{adapter.path}': no such directory; put the adapter there")
        elif not (directory / ADAPTER_CONFIG).is_file():
            yield Fault(key, f"adapter '{adapter.path}' holds no {ADAPTER_CONFIG}; name a PEFT adapter")
        elif not any((directory / name).is_file() for name in (ADAPTER, PICKLED_ADAPTER)):
            yield Fault(key, f"adapter '{adapter.path}' holds no {ADAPTER}; save it again")
        elif (weights := directory / ADAPTER).is_file():
            try:
                headers([weights])
            except SstError as error:
                yield Fault(key, str(error))


def adapters_of_base(recipe: Recipe) -> Iterator[Fault]:
    """Yield adapters made for another model than the one before their ``+``, as far as it can be known."""
    for reference, key in recipe.references().items():
        directory = directory_of(reference.lora) if reference.lora else None
        if directory is None or not (directory / ADAPTER_CONFIG).is_file():
            continue
        config = _config(directory)
        if config is None:
            yield Fault(key, f"{directory / ADAPTER_CONFIG}: damaged; save the adapter again")
            continue
        if why := other_base(config, reference.model.path):
            yield Fault(key, f"adapter '{reference.lora}' {why}")
        made_for = config.get("base_model_name_or_path")
        own = directory_of(reference.model)
        other = directory_of(ModelPath(path=made_for, revision=None)) if made_for else None
        if own and other and own.resolve() != other.resolve() and surely_others(own, other):
            what = f"adapter '{reference.lora}' was made for '{made_for}', not for '{reference.model}'"
            yield Fault(key, f"{what}; name that model before the '+'")


def adapters_applied(recipe: Recipe) -> Iterator[Fault]:
    """Yield adapters that PEFT would not apply, or only in part, and those on tied weights."""
    for reference, key in recipe.references().items():
        found = _read(reference)
        what = found and next(filter(None, (test(found) for test in TESTS)), None)
        if what:
            yield Fault(key, f"adapter '{reference.lora}' {what}")


@dataclass(frozen=True)
class _On:
    """An adapter and the model it is on: configurations, and tensors by their headers."""

    config: dict
    tensors: Mapping[str, Header]
    model: dict
    weights: Mapping[str, Header]

    @property
    def factors(self) -> dict[str, Header]:
        """The LoRA factors, those of experts aside: they are on stacks of weights."""
        return {n: h for n, h in self.tensors.items() if _FACTOR.search(n) and "experts" not in n}

    @property
    def modules(self) -> list[str]:
        """The layers that have factors."""
        return sorted({_module(name) for name in self.factors})

    @property
    def by_name(self) -> dict[str, Header]:
        """The model's weights by their modules, without what stands before these in a checkpoint."""
        return {bare_name(name.removesuffix(".weight")): header for name, header in self.weights.items()}


def _read(reference: ModelReference) -> _On | None:
    directory = directory_of(reference.lora) if reference.lora else None
    model, weights = directory_of(reference.model), local_headers(ModelReference(model=reference.model))
    config = _config(directory) if directory else None
    if config is None or directory is None or model is None or not weights:
        return None
    try:
        of_model = json.loads((model / "config.json").read_text(encoding="utf-8"))
        return _On(config, headers([directory / ADAPTER]), of_model, weights)
    except (SstError, OSError, ValueError):
        return None  # other rules say so


def _unprefixed(on: _On) -> str | None:
    strange = [name for name in on.tensors if not name.startswith(PEFT)]
    if not strange:
        return None
    return (
        f"holds {first_and_count(strange)}, which PEFT leaves out: names begin with '{PEFT}'; "
        "save it by PEFT's save_pretrained"
    )


def _tied(on: _On) -> str | None:
    tied = [module for module in on.modules if module.split(".")[-1] in EMBEDDINGS]
    of_text = on.model.get("text_config") or {}
    if not tied or not on.model.get("tie_word_embeddings", of_text.get("tie_word_embeddings")):
        return None
    return (
        f"is on {first_and_count(tied)}, whose weight input and output share: folding it changes both; "
        "train it without"
    )


def _elsewhere(on: _On) -> str | None:
    lost = [module for module in on.modules if bare_name(module) not in on.by_name]
    if not lost:
        return None
    return f"is on {first_and_count(lost)}, which its model has not; name the model it was trained on"


def _of_another_shape(on: _On) -> str | None:
    for name, header in on.tensors.items():
        weight = on.by_name.get(bare_name(_module(name)))
        match = _FACTOR.search(name)
        if weight is None or "experts" in name:
            continue
        if match is None:
            fits = header.shape == weight.shape
        else:
            fits = (header.shape[-1] if match[1] == "A" else header.shape[0]) in weight.shape
        if not fits:
            return (
                f"has {name} of {list(header.shape)}, which does not fit the model's weight of "
                f"{list(weight.shape)} (a resized vocabulary?); name the model it was trained on"
            )
    return None


def _in_part(on: _On) -> str | None:
    missing = _untouched(on.config, set(on.modules), on.weights)
    if not missing:
        return None
    return f"lacks factors of {first_and_count(missing)}, which its target_modules name; save it again"


TESTS = (_unprefixed, _tied, _elsewhere, _of_another_shape, _in_part)  # the first that fails is told


def _untouched(config: dict, modules: set[str], weights: Mapping[str, Header]) -> list[str]:
    """Return the layers that an adapter's configuration targets and its file has no factors of."""
    from peft import PeftConfig
    from peft.tuners.tuners_utils import check_target_module_exists

    targets = config.get("target_modules")
    if config.get("peft_type") != "LORA" or not targets or targets == "all-linear":
        return []
    try:
        read = PeftConfig.from_peft_type(**{k: v for k, v in config.items() if k != "auto_mapping"})
    except (TypeError, ValueError, KeyError):
        return []  # who loads it says so
    having = {bare_name(module) for module in modules}
    layers = [n.removesuffix(".weight") for n, header in weights.items() if len(header.shape) == 2]
    return [
        name
        for name in layers
        if bare_name(name) not in having and "experts" not in name and check_target_module_exists(read, name)
    ]


def _module(name: str) -> str:
    """Return the module of a factor.

    >>> _module("base_model.model.model.layers.0.mlp.up_proj.lora_A.weight")
    'model.layers.0.mlp.up_proj'
    """
    return _FACTOR.sub("", name.removeprefix(PEFT)).removesuffix(".weight").removesuffix(".base_layer")


def _config(directory: Path) -> dict | None:
    """Return adapter_config.json, or None where it is damaged or not there."""
    try:
        found = json.loads((directory / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("base_model_name_or_path", ""), str | None):
        return None
    return found


RULES = (adapters_there, adapters_of_base, adapters_applied)
