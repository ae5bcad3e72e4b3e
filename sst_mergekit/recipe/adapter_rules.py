"""Rules on the adapters of a recipe: there, readable, of the model before their ``+``, and applied whole."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
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
        if found is not None:
            yield from (Fault(key, f"adapter '{reference.lora}' {what}") for what in _unfit(*found))


def _read(reference: ModelReference) -> tuple[dict, dict[str, Header], dict[str, Header], dict] | None:
    """Return configuration and tensors of an adapter, and the tensors and configuration of its model."""
    directory = directory_of(reference.lora) if reference.lora else None
    model, weights = directory_of(reference.model), local_headers(ModelReference(model=reference.model))
    config = _config(directory) if directory else None
    if config is None or directory is None or model is None or not weights:
        return None
    try:
        tensors = headers([directory / ADAPTER])
        return config, tensors, weights, json.loads((model / "config.json").read_text(encoding="utf-8"))
    except (SstError, OSError, ValueError):
        return None  # other rules say so


def _unfit(
    config: dict, tensors: dict[str, Header], weights: dict[str, Header], of_model: dict
) -> Iterator[str]:
    by_name = {bare_name(name.removesuffix(".weight")): header for name, header in weights.items()}
    factors = {name: header for name, header in tensors.items() if _FACTOR.search(name)}
    strange = [name for name in tensors if not name.startswith(PEFT)]
    if strange:
        yield (
            f"holds {first_and_count(strange)}, which PEFT leaves out: names begin with '{PEFT}'; "
            "save it by PEFT's save_pretrained"
        )
        return
    modules = {_module(name) for name in factors if "experts" not in name}
    lost = sorted(module for module in modules if bare_name(module) not in by_name)
    if lost:
        yield f"is on {first_and_count(lost)}, which its model has not; name the model it was trained on"
        return
    for name, header in factors.items():
        weight = by_name.get(bare_name(_module(name)))
        side = _FACTOR.search(name)[1]  # type: ignore[index]
        outer = header.shape[-1] if side == "A" else header.shape[0]
        if weight and "experts" not in name and outer not in weight.shape:
            yield (
                f"has {name} of {list(header.shape)}, which does not fit the model's weight of "
                f"{list(weight.shape)} (a resized vocabulary?); name the model it was trained on"
            )
            return
    whole = [n for n in tensors if n not in factors and n.endswith(".weight") and ".lora_" not in n]
    for name in whole:
        weight = by_name.get(bare_name(_module(name.removesuffix(".weight"))))
        if weight and weight.shape != tensors[name].shape:
            yield (
                f"has {name} of {list(tensors[name].shape)}, the model's is {list(weight.shape)} "
                "(a resized vocabulary?); resize and save the model first"
            )
            return
    if of_model.get("tie_word_embeddings") and (
        tied := [m for m in modules if m.split(".")[-1] in EMBEDDINGS]
    ):
        yield (
            f"is on {first_and_count(sorted(tied))}, whose weight input and output share: folding it changes "
            "both; train it without"
        )
    if missing := _untouched(config, modules, weights):
        yield f"lacks factors of {first_and_count(missing)}, which its target_modules name; save it again"


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
    return _FACTOR.sub("", name.removeprefix(PEFT)).removesuffix(".base_layer")


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
