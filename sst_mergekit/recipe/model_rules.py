"""Rules on the models and adapters a recipe names, as far as they are on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mergekit.common import ModelPath, ModelReference
from mergekit.merge_methods.base import BasePolicy

from sst_mergekit.checkpoints import ADAPTER, DEQUANTIZE, PICKLED_ADAPTER, is_parameter, lacking, quantised
from sst_mergekit.errors import SstError
from sst_mergekit.recipe.checkpoint import directory_of, is_local, local_headers
from sst_mergekit.recipe.fault import Fault, first_and_count
from sst_mergekit.recipe.parse import Recipe
from sst_mergekit.recipe.sst_rules import METHOD


def models_there(recipe: Recipe) -> Iterator[Fault]:
    """Yield local models that are not there, or lack what mergekit reads."""
    for model, key in paths(recipe, adapters=False).items():
        directory = Path(model.path)
        if model.path.startswith("~"):
            yield Fault(key, f"'{model.path}': mergekit does not expand '~'; write the whole path")
        elif is_local(model.path) and not directory.is_dir():
            yield Fault(key, f"'{model.path}': no such directory; put the model there or name another")
        elif is_local(model.path):
            try:
                missing = lacking(directory)
            except SstError as error:
                yield Fault(key, str(error))
                continue
            if missing:
                yield Fault(key, f"'{model.path}' {missing}; name a directory written by save_pretrained")


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
        if missing := lacking(folder):
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
    weights = [directory / name for name in (ADAPTER, PICKLED_ADAPTER)] if directory else []
    times = [path.stat().st_mtime for path in weights if path.is_file()]
    return bool(times) and (folder / "config.json").stat().st_mtime < max(times)


def names_sent_to_the_hub(recipe: Recipe) -> Iterator[Fault]:
    """Yield local paths that mergekit's model card takes for Hub names, and asks the Hub about at the end."""
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    for model, key in (paths(recipe, adapters=False) | paths(recipe, adapters=True)).items():
        path = model.path
        if path[0] in "./~" or path.count("/") > 1 or not Path(path).is_dir():
            continue
        end = "which fails offline, after the weights are written" if offline else "for the model card"
        yield Fault(key, f"mergekit asks the Hub about '{path}' {end}; write './{path}'", warning=not offline)


def plain_weights(recipe: Recipe) -> Iterator[Fault]:
    """Yield models whose weights are quantised: their numbers are no weights until scales are applied."""
    for model, key in paths(recipe, adapters=False).items():
        directory = directory_of(model)
        try:
            how = quantised(directory) if directory else None
        except SstError:
            continue  # said by models_there
        if how:
            what = f"'{model.path}' is quantised ({how}), and would be merged as if its numbers were weights"
            yield Fault(key, f"{what}; {DEQUANTIZE}")


def whole_models(recipe: Recipe) -> Iterator[Fault]:
    """Yield models that lack tensors of the base model, and a warning for tensors that the base lacks.

    Where no name is the same the two are of different forms, which other rules name.
    """
    base = local_headers(recipe.base) or {}
    for reference, key in recipe.references().items():
        found = local_headers(reference)
        if not found or not base.keys() & found.keys():
            continue
        lost = [name for name, header in base.items() if name not in found and is_parameter(name, header)]
        more = [name for name, header in found.items() if name not in base and is_parameter(name, header)]
        if lost:
            yield Fault(
                key, f"'{reference}' lacks {first_and_count(lost)}, which '{recipe.base}' has; copy it again"
            )
        if more:
            what = f"{first_and_count(more)} of '{reference}' have no place in '{recipe.base}'"
            yield Fault(key, f"{what}, and are left out of the merge", warning=True)


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


def paths(recipe: Recipe, adapters: bool) -> dict[ModelPath, str]:
    """Return every model (or adapter) path of the recipe with the first key that names it."""
    named: dict[ModelPath, str] = {}
    for reference, key in recipe.references().items():
        path = reference.lora if adapters else reference.model
        if path is not None:
            named.setdefault(path, key)
    return named


RULES = (
    models_there,
    cache_for_adapters,
    usable_cache,
    names_sent_to_the_hub,
    plain_weights,
    whole_models,
    same_shapes,
    precise_dtype,
)
