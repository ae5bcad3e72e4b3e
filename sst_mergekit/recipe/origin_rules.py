"""Rules of merge_method sst on where statistics come from: each set belongs to its own expert."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mergekit.common import ModelPath, ModelReference

from sst_mergekit.recipe.checkpoint import directory_of, fingerprint, is_local
from sst_mergekit.recipe.fault import Fault
from sst_mergekit.recipe.parse import Recipe
from sst_mergekit.recipe.sst_rules import experts
from sst_mergekit.recipe.statistics_rules import fisher_key, measured
from sst_mergekit.statistics.manifest import Manifest


def statistics_of_expert(recipe: Recipe) -> Iterator[Fault]:
    """Yield statistics of another model than the expert they are given to, swapped directories too.

    Weights are compared by their fingerprints where both are known, else by their ids.
    """
    for item, store in measured(recipe):
        fits = belongs(store.manifest, item.reference)
        if fits:
            continue
        others = [o for o in experts(recipe) if o is not item and belongs(store.manifest, o.reference)]
        if fits is None and not others:
            if _both_forms(store.manifest, item.reference):
                why = f"{store.source} was measured on {measured_on(store.manifest)}, one a folded adapter"
                yield Fault(fisher_key(item), f"{why}; not compared with '{item.reference}'", warning=True)
            continue
        hint = (
            f"they are those of {others[0].key}: are the directories swapped?" if others else "measure again"
        )
        yield Fault(
            fisher_key(item),
            f"{store.source} is of {measured_on(store.manifest)}, not of '{item.reference}'; {hint}",
        )


def measured_on(manifest: Manifest) -> str:
    """Return the model, and its adapter, that a manifest names."""
    adapter = f"+{manifest.adapter.get('id')}" if manifest.adapter else ""
    return f"'{manifest.model.get('id')}{adapter}'"


def belongs(manifest: Manifest, reference: ModelReference) -> bool | None:
    """Return whether statistics were measured on a model of the recipe; None: it cannot be known."""
    if _both_forms(manifest, reference):
        return None
    found = [same(manifest.model, reference.model)]
    if manifest.adapter and reference.lora:
        found.append(same(manifest.adapter, reference.lora))
    if False in found:
        return False
    return None if None in found else True


def _both_forms(manifest: Manifest, reference: ModelReference) -> bool:
    """Return whether one side is a model with an adapter and the other a full checkpoint."""
    return bool(manifest.adapter) != bool(reference.lora)


def same(entry: Mapping[str, Any], path: ModelPath) -> bool | None:
    """Return whether a manifest's entry is a model (or adapter) of the recipe; None: it cannot be known."""
    directory = directory_of(path)
    weights = fingerprint(directory) if directory else None
    if weights and entry.get("weights"):
        return weights == entry["weights"]
    if entry.get("id") == path.path:
        return True
    return None if is_local(path.path) or is_local(str(entry.get("id"))) else False


RULES = (statistics_of_expert,)
