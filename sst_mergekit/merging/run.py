"""Merging a recipe with mergekit's own command, checked first: what ``sst-mergekit yaml`` does."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path

from safetensors import safe_open

import sst_mergekit
from sst_mergekit.errors import RecipeError, raising_a_full_disk
from sst_mergekit.files import expanded, new_directory, write_text
from sst_mergekit.merging.hosting import told
from sst_mergekit.merging.lora_cache import lora_cache
from sst_mergekit.plugin.finite import is_finite
from sst_mergekit.recipe.check import OF_METHOD, check_recipe
from sst_mergekit.recipe.explaining import explained
from sst_mergekit.recipe.fault import Fault
from sst_mergekit.recipe.reading import read_yaml

_log = logging.getLogger(__name__)


def refuse(faults: list[Fault]) -> None:
    """Log a recipe's warnings, and raise RecipeError for its errors."""
    for fault in faults:
        if fault.warning:
            _log.warning("%s", fault)
    errors = [str(fault) for fault in faults if not fault.warning]
    if errors:
        raise RecipeError("; ".join(errors))


def merge(
    *arguments: str | Path,
    force: bool = False,
    on_faults: Callable[[list[Fault]], None] | None = refuse,
) -> Path:
    """Merge a recipe into a directory with mergekit, whole or not at all, and return the directory.

    ``merge("recipe.yml", "merged", "--lora-merge-dtype", "float32")``. Adapters are folded in a temporary
    directory beside it, unless ``--lora-merge-cache`` names another.

    Args:
        arguments: as of ``mergekit-yaml``: recipe, directory, options.
        force: replace the directory.
        on_faults: called with the faults that the check found before the merge, to raise where that must
            not be; None: no check.

    Raises:
        RecipeError: the check found an error, before the merge or where it failed.
        SstError: the directory exists; or the merge failed on statistics or an adapter.
        click.UsageError: arguments that mergekit does not know.
    """
    sst_mergekit.register()
    from mergekit.scripts.run_yaml import main

    with main.make_context("sst-mergekit yaml", [str(each) for each in arguments]) as context:
        given = context.params
        out = expanded(given["out_path"]).absolute()
        if on_faults is not None:
            on_faults(_check(given, out))
        with new_directory(out, force) as temporary, lora_cache(given["lora_merge_cache"], out) as cache:
            given |= {"lora_merge_cache": cache, "out_path": str(temporary)}
            with (
                explained(lambda: _check(given, out)),
                raising_a_full_disk("mergekit.merge"),
                told(temporary),
            ):
                main.invoke(context)
            if (
                read_yaml(Path(given["config_file"])).get("merge_method") not in OF_METHOD
            ):  # ours look at each weight as they make it
                _require_finite(temporary)
            _tidy_card(temporary, out.name)
    return out


def _check(given: dict, out: Path) -> list[Fault]:
    """Return the recipe's faults; a cache that was not given will be a new one beside OUT."""
    cache = given["lora_merge_cache"] or out.with_name(f".{out.name}.lora-cache")
    return check_recipe(given["config_file"], Path(cache), given["lora_merge_dtype"])


def _require_finite(directory: Path) -> None:
    """Raise RecipeError for a merged tensor with NaN or infinity: mergekit's own methods write them."""
    for path in sorted(directory.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  (not a mapping)
                if not is_finite(file.get_tensor(name)):
                    raise RecipeError(f"{name}: the merged weight is not finite; are the models' weights?")


def _tidy_card(directory: Path, name: str) -> None:
    """Write OUT's name into the model card, which mergekit titled after the temporary directory.

    Its models, which mergekit names in an order that differs from process to process, are sorted.
    """
    card = directory / "README.md"
    if not card.is_file():
        return
    text = card.read_text(encoding="utf-8").replace(f"# {directory.name}\n", f"# {name}\n", 1)
    head = re.sub(r"(?<=^base_model:\n)(- .*\n)+", _sorted, text, count=1, flags=re.MULTILINE)
    write_text(card, re.sub(r"(^\* .*\n)+", _sorted, head, flags=re.MULTILINE))


def _sorted(lines: re.Match[str]) -> str:
    return "".join(sorted(lines.group().splitlines(keepends=True)))
