"""The card of a merge: mergekit's own text, and below it what that leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sst_mergekit.errors import RecipeError, SharingError
from sst_mergekit.files import sha256
from sst_mergekit.metrics.text import table
from sst_mergekit.recipe.parse import Recipe, load_recipe
from sst_mergekit.sharing.block import add_tags, metadata, read_card, with_part, without_part
from sst_mergekit.sharing.ingredients import Ingredient, ingredients
from sst_mergekit.sharing.kinds import ADAPTER
from sst_mergekit.sharing.licences import agreed, licence_section, licences
from sst_mergekit.sharing.limits import limits_section
from sst_mergekit.sharing.measured import Figure
from sst_mergekit.sharing.names import on_hub, shown
from sst_mergekit.sharing.results import eval_results, is_ours, results_table

if TYPE_CHECKING:
    from huggingface_hub import ModelCard

RECIPE = "mergekit_config.yml"


@dataclass(frozen=True)
class Merge:
    """A merge to be described: where, which kind, by which recipe, from what, under which licences."""

    directory: Path
    kind: str
    recipe: Recipe
    parts: tuple[Ingredient, ...]
    licences: dict[str, str | None]


def read_merge(directory: Path, kind: str, recipe: Path | None = None) -> Merge:
    """Return a merge by its directory; the recipe is the mergekit_config.yml there unless given.

    Raises:
        SharingError: no recipe is there.
        RecipeError: the recipe cannot be read, or names no model.
    """
    path = recipe or directory / RECIPE
    if not path.is_file():
        raise SharingError(f"{path}: no such recipe; give the one that {directory} was merged by as --recipe")
    read = load_recipe(path)
    parts = tuple(ingredients(read))
    if not parts:
        raise RecipeError(f"{path}: names no model; is it the recipe of {directory}?")
    return Merge(directory, kind, read, parts, licences(parts))


def model_card(merge: Merge, figures: Sequence[Figure]) -> str:
    """Return README.md of a merge: what is there already, our metadata, and our part at the end.

    Raises:
        SharingError: the metadata of the README there cannot be read.
    """
    readme = merge.directory / "README.md"
    name = merge.directory.resolve().name
    text = readme.read_text(encoding="utf-8") if readme.is_file() else f"# {name}\n"
    card = read_card(text, readme)
    _describe(card, merge, figures, name)
    card.text = with_part(card.text, _part(merge, figures, without_part(card.text)))
    return str(card)


def _describe(card: ModelCard, merge: Merge, figures: Sequence[Figure], name: str) -> None:
    data = metadata(card)
    bases = [part.source for part in merge.parts if "statistics" not in part.part and on_hub(part.source)]
    if merge.kind == ADAPTER:
        bases = bases[:1] if merge.parts[0].source in bases else []
    data.base_model = bases or None
    data["base_model_relation"] = ("adapter" if merge.kind == ADAPTER else "merge") if bases else None
    data.library_name = "peft" if merge.kind == ADAPTER else data.library_name or "transformers"
    add_tags(card, "mergekit", "merge", "sst-mergekit")
    data.license = data.license or agreed(merge.licences)
    others = [result for result in data.eval_results or [] if not is_ours(result)]
    data.eval_results = [*others, *eval_results(figures)] or None
    data.model_name = (data.model_name or name) if data.eval_results else None


def _part(merge: Merge, figures: Sequence[Figure], rest: str) -> str:
    sections = {
        "Made from": f"{_sources(merge.parts)}\n{licence_section(merge.licences)}",
        "Recipe": _recipe(merge, rest),
        "Measured": results_table(figures) if figures else "Nothing was measured.",
        "Intended use and limits": limits_section(figures),
    }
    return "\n\n".join(f"## {title}\n\n{text.strip()}" for title, text in sections.items())


def _sources(parts: Sequence[Ingredient]) -> str:
    rows = [
        [
            part.part,
            shown(part.source),
            part.revision or "",
            f"`{part.identity}`" if part.identity else "not known",
        ]
        for part in parts
    ]
    told = table(("part", "source", "revision", "SHA-256"), rows)
    return (
        f"{told}\n`weights`: over names, shapes and sampled bytes of all tensors; else of the file named. "
        "Known of what was on the machine where this card was written.\n"
    )


def _recipe(merge: Merge, rest: str) -> str:
    text = merge.recipe.path.read_text(encoding="utf-8").strip()
    command = "lora" if merge.kind == ADAPTER else "yaml"
    said = (
        f"`sst-mergekit {command} {RECIPE} OUT` makes it again. "
        f"SHA-256 of the recipe: `{sha256(merge.recipe.path)}`."
    )
    return said if text in rest else f"{said}\n\n```yaml\n{text}\n```"
