"""Rules on the models and adapters a recipe names, as far as they are on this machine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from mergekit.common import ModelPath, ModelReference
from mergekit.merge_methods.base import BasePolicy

from sst_mergekit.errors import RecipeError
from sst_mergekit.recipe.checkpoint import (
    ADAPTER_WEIGHTS,
    directory_of,
    headers,
    is_local,
    local_headers,
    surely_others,
    what_is_missing,
)
from sst_mergekit.recipe.fault import Fault, first_and_count
from sst_mergekit.recipe.parse import Recipe
from sst_mergekit.recipe.sst_rules import METHOD


def models_there(recipe: Recipe) -> Iterator[Fault]:
    """Yield local models that are not there, or lack what mergekit reads."""
    for model, key in _paths(recipe, adapters=False).items():
        directory = Path(model.path)
        if model.path.startswith("~"):
            yield Fault(key, f"'{model.path}': mergekit does not expand '~'; write the whole path")
        elif is_local(model.path) and not directory.is_dir():
            yield Fault(key, f"'{model.path}': no such directory; put the model there or name another")
        elif is_local(model.path):
            try:
                missing = what_is_missing(directory)
            except RecipeError as error:
                yield Fault(key, str(error))
                continue
            if missing:
                yield Fault(key, f"'{model.path}' {missing}; name a directory written by save_pretrained")


def adapters_there(recipe: Recipe) -> Iterator[Fault]:
    """Yield local adapters that are not there, or lack their configuration or weights."""
    for adapter, key in _paths(recipe, adapters=True).items():
        directory = Path(adapter.path)
        if not is_local(adapter.path):
            continue
        if not directory.is_dir():
            yield Fault(key, f"adapter '{adapter.path}': no such directory; put the adapter there")
        elif not (directory / "adapter_config.json").is_file():
            yield Fault(key, f"adapter '{adapter.path}' holds no adapter_config.json; name a PEFT adapter")
        elif not any((directory / name).is_file() for name in ADAPTER_WEIGHTS):
            yield Fault(key, f"adapter '{adapter.path}' holds no {ADAPTER_WEIGHTS[0]}; save it again")
        elif (weights := directory / ADAPTER_WEIGHTS[0]).is_file():
            try:
                headers([weights])
            except RecipeError as error:
                yield Fault(key, str(error))


def adapters_fit(recipe: Recipe) -> Iterator[Fault]:
    """Yield adapters made for another model than the one before their ``+``, if both are here to compare."""
    for reference, key in recipe.references().items():
        directory = directory_of(reference.lora) if reference.lora else None
        config = directory / "adapter_config.json" if directory else None
        if config is None or not config.is_file():
            continue
        try:
            made_for = json.loads(config.read_text(encoding="utf-8")).get("base_model_name_or_path")
            if made_for is not None and not isinstance(made_for, str):
                raise ValueError(made_for)
        except (ValueError, AttributeError, RecursionError):
            yield Fault(key, f"{config}: damaged; save the adapter again")
            continue
        own = directory_of(reference.model)
        other = directory_of(ModelPath(path=made_for, revision=None)) if made_for else None
        if own and other and own.resolve() != other.resolve() and surely_others(own, other):
            what = f"adapter '{reference.lora}' was made for '{made_for}', not for '{reference.model}'"
            yield Fault(key, f"{what}; name that model before the '+'")


def cache_for_adapters(recipe: Recipe) -> Iterator[Fault]:
    """Yield a warning for adapters without --lora-merge-cache, which mergekit-yaml folds them into.

    ``sst-mergekit yaml`` makes a cache of its own, and so does mergekit where the method is ``sst``.
    """
    keys = [key for reference, key in recipe.references().items() if reference.lora]
    if keys and recipe.lora_merge_cache is None and recipe.raw.get("merge_method") != METHOD:
        what = "adapters are folded into a cache; give --lora-merge-cache DIR, here and to mergekit-yaml"
        yield Fault(
            first_and_count(keys), f"{what} ('sst-mergekit yaml' makes a temporary one)", warning=True
        )


def usable_cache(recipe: Recipe) -> Iterator[Fault]:
    """Yield folders in the cache that mergekit would take for folded models, and that are none or old."""
    if recipe.lora_merge_cache is None:
        return
    for reference, key in recipe.references().items():
        if reference.lora is None:
            continue
        folder = folded(reference, recipe.lora_merge_cache)
        if not folder.is_dir():
            continue
        if missing := what_is_missing(folder):
            yield Fault(key, f"{folder} {missing}, left by a failed run; remove that folder")
        elif is_older(folder, reference):
            yield Fault(
                key, f"{folder} is older than the adapter and would be used; remove that folder", warning=True
            )


def folded(reference: ModelReference, cache: Path) -> Path:
    """Return the folder in which ``ModelReference.merged`` keeps a model with its adapter folded in."""
    name = f"{reference.model._unique_id()}_{reference.lora._unique_id()}"  # type: ignore[union-attr]
    return cache / name


def is_older(folder: Path, reference: ModelReference) -> bool:
    """Return whether a folded model was written before its adapter's weights."""
    directory = directory_of(reference.lora) if reference.lora else None
    weights = [directory / name for name in ADAPTER_WEIGHTS] if directory else []
    times = [path.stat().st_mtime for path in weights if path.is_file()]
    return bool(times) and (folder / "config.json").stat().st_mtime < max(times)


def names_sent_to_the_hub(recipe: Recipe) -> Iterator[Fault]:
    """Yield local paths that mergekit's model card takes for Hub names, and asks the Hub about at the end."""
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    for model, key in (_paths(recipe, adapters=False) | _paths(recipe, adapters=True)).items():
        path = model.path
        if path[0] in "./~" or path.count("/") > 1 or not Path(path).is_dir():
            continue
        end = "which fails offline, after the weights are written" if offline else "for the model card"
        yield Fault(key, f"mergekit asks the Hub about '{path}' {end}; write './{path}'", warning=not offline)


def same_shapes(recipe: Recipe) -> Iterator[Fault]:
    """Yield models whose tensors have other shapes than the first one's; vocabularies may be aligned."""
    aligned = bool(recipe.raw.get("tokenizer") or recipe.raw.get("tokenizer_source"))
    known = [(ref, key, found) for ref, key in recipe.references().items() if (found := local_headers(ref))]
    for reference, key, found in known[1:] if not recipe.raw.get("slices") else ():
        first, _, expected = known[0]
        names = [n for n in expected if n in found and found[n].shape != expected[n].shape]
        if aligned:
            names = [n for n in names if found[n].shape[1:] != expected[n].shape[1:]]
        if names:
            got, wanted = list(found[names[0]].shape), list(expected[names[0]].shape)
            yield Fault(
                key,
                f"{first_and_count(names)} of '{reference}': shape {got}, but {wanted} in '{first}'; "
                "merge models of one architecture and vocabulary",
            )


def precise_dtype(recipe: Recipe) -> Iterator[Fault]:
    """Yield a warning where differences of weights are taken, or adapters folded, in 16 bits."""
    adapters = any(reference.lora for reference in recipe.references())
    deltas = recipe.method is not None and recipe.method.spec.contract.base is BasePolicy.REQUIRED
    dtype = recipe.raw.get("dtype")
    if (adapters or deltas) and str(dtype or "").removeprefix("torch.") in ("", "bfloat16", "float16"):
        got = f"got {dtype}" if dtype else "missing, so the weights' own"
        if dtype or not _all_float32(recipe):
            why = "small differences are lost in 16 bits; set 'dtype: float32' and 'out_dtype: bfloat16'"
            yield Fault("dtype", f"{got}; {why}", warning=True)
    if adapters and recipe.lora_merge_dtype != "float32" and not _all_float32(recipe):
        why = "adapters are folded in the model's own dtype; give mergekit --lora-merge-dtype float32"
        yield Fault("models", why, warning=True)


def _all_float32(recipe: Recipe) -> bool:
    found = [local_headers(reference) for reference in recipe.references()]
    return all(known and {h.dtype for h in known.values()} <= {"F32", "F64"} for known in found)


def _paths(recipe: Recipe, adapters: bool) -> dict[ModelPath, str]:
    """Return every model (or adapter) path of the recipe with the first key that names it."""
    named: dict[ModelPath, str] = {}
    for reference, key in recipe.references().items():
        path = reference.lora if adapters else reference.model
        if path is not None:
            named.setdefault(path, key)
    return named


RULES = (
    models_there,
    adapters_there,
    adapters_fit,
    cache_for_adapters,
    usable_cache,
    names_sent_to_the_hub,
    same_shapes,
    precise_dtype,
)
