"""What a merge was made from, by its recipe: models, adapters and statistics, each with its hash."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mergekit.common import ModelPath

from sst_mergekit.errors import SstError
from sst_mergekit.files import expanded, sha256
from sst_mergekit.recipe.checkpoint import directory_of, fingerprint
from sst_mergekit.recipe.parse import Recipe
from sst_mergekit.statistics.manifest import FILE_NAME, read_manifest

ADAPTER_WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class Ingredient:
    """One thing that went into a merge.

    Attributes:
        part: what it is (``base model``, ``safety expert``, ``adapter``, ``statistics``).
        source: as the recipe names it, without the revision.
        revision: of the Hub; None for the default branch or a path.
        identity: a hash and what it is of; None where the files are not on this machine.
        directory: where its files are on this machine, or None.
    """

    part: str
    source: str
    revision: str | None
    identity: str | None
    directory: Path | None


def ingredients(recipe: Recipe) -> list[Ingredient]:
    """Return all that a recipe names, each once, in its order: base, experts, adapters, statistics."""
    found = [_model("base model", recipe.base.model)] if recipe.base else []
    for item in recipe.inputs:
        role = item.parameters.get("role")
        part = f"{role} expert" if isinstance(role, str) and role != "expert" else "expert"
        if item.reference.lora:
            found.append(_model("base model", item.reference.model))
            found.append(_adapter(f"adapter ({part})", item.reference.lora))
        else:
            found.append(_model(part, item.reference.model))
    for source, part in _statistics_named(recipe):
        found.append(_statistics(part, source))
    unique = {}
    for ingredient in found:
        unique.setdefault((ingredient.source, ingredient.revision), ingredient)
    return list(unique.values())


def _statistics_named(recipe: Recipe) -> Iterator[tuple[str, str]]:
    for item in recipe.inputs:
        role, source = item.parameters.get("role"), item.parameters.get("fisher")
        if isinstance(source, str):
            yield source, f"statistics ({role})" if isinstance(role, str) else "statistics"


def _model(part: str, path: ModelPath) -> Ingredient:
    directory = directory_of(path)
    digest = fingerprint(directory) if directory else None
    return Ingredient(part, path.path, path.revision, digest and f"weights {digest}", directory)


def _adapter(part: str, path: ModelPath) -> Ingredient:
    directory = directory_of(path)
    identity = None
    if directory and (directory / ADAPTER_WEIGHTS).is_file():
        identity = f"{ADAPTER_WEIGHTS} {sha256(directory / ADAPTER_WEIGHTS)}"
    return Ingredient(part, path.path, path.revision, identity, directory)


def _statistics(part: str, source: str) -> Ingredient:
    from sst_mergekit.recipe.statistics_rules import statistics_directory

    directory = statistics_directory(source)
    name, revision = source, None
    if directory is None or not expanded(source).is_dir():
        name, _, revision = source.partition("@")
    if directory is None or not (directory / FILE_NAME).is_file():
        return Ingredient(part, name, revision or None, None, None)
    try:
        kind = read_manifest(directory).kind
    except SstError:
        kind = "unreadable"
    part = f"{kind} {part}"
    return Ingredient(part, name, revision or None, f"{FILE_NAME} {sha256(directory / FILE_NAME)}", directory)
