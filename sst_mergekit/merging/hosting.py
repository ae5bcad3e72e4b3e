"""mergekit's own merge by ``sst``: it takes adapters without a cache, and tells at its end what it did."""

from __future__ import annotations

import functools
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sst_mergekit.checkpoints import headers, is_parameter, weight_files
from sst_mergekit.errors import RecipeError
from sst_mergekit.files import write_text
from sst_mergekit.merging.lora_cache import lora_cache
from sst_mergekit.plugin import coverage
from sst_mergekit.recipe.checkpoint import local_headers
from sst_mergekit.recipe.fault import first_and_count

if TYPE_CHECKING:
    from mergekit.config import MergeConfiguration
    from mergekit.options import MergeOptions


def serve() -> None:
    """Put our way around mergekit's `run_merge`.

    The start-up hook calls this when ``mergekit.merge`` has run, before a command takes `run_merge` from it.
    """
    merge = sys.modules["mergekit.merge"]  # mergekit has no attribute of that name yet
    merge.run_merge = _served(merge.run_merge)  # pyright: ignore


def _served(run_merge: Callable[..., None]) -> Callable[..., None]:
    """Return mergekit's `run_merge`; where the method is ``sst`` with a temporary cache, told at its end."""

    @functools.wraps(run_merge)
    def run(
        merge_config: MergeConfiguration, out_path: str, options: MergeOptions, *args: Any, **kwargs: Any
    ) -> None:
        from sst_mergekit.recipe.sst_rules import METHOD

        if merge_config.merge_method != METHOD:
            return run_merge(merge_config, out_path, options, *args, **kwargs)
        out = Path(out_path).absolute()
        out.parent.mkdir(parents=True, exist_ok=True)
        needed = any(m.lora for m in merge_config.referenced_models()) and not options.lora_merge_cache
        cache = lora_cache(None, out) if needed else nullcontext(options.lora_merge_cache)
        with cache as folder, told(out):
            chosen = options.model_copy(update={"lora_merge_cache": folder})
            return run_merge(merge_config, out_path, chosen, *args, **kwargs)

    return run


@contextmanager
def told(out: Path) -> Iterator[None]:
    """Say at the block's end what the merge into `out` did to the patches, there and in the model's card.

    Within another such block, or within `coverage.recorded`, nothing is said.

    Raises:
        RecipeError: nothing was merged; what mergekit wrote is removed.
    """
    if coverage.is_recorded():
        yield
        return
    new, before = not out.exists(), _written(out)
    with coverage.recorded() as found:
        yield
    try:
        found.require_change()
    except RecipeError:
        if new:
            shutil.rmtree(out)
        for path in _written(out) - before:
            Path(path[0]).unlink()
        raise
    if not found.fates:
        return
    say(found)
    if lost := without_a_place(out):
        print(f"warning: {first_and_count(lost)} of the models have no place in the merge", file=sys.stderr)
    card = out / "README.md"
    if card.is_file():
        write_text(card, f"{card.read_text(encoding='utf-8').rstrip()}\n\n{paragraph(found)}")


def _written(out: Path) -> set[tuple[str, int]]:
    """Return the weight files in a folder, and when each was written."""
    return {(str(path), path.stat().st_mtime_ns) for path in out.glob("*.safetensors*")}


def say(found: coverage.Coverage) -> None:
    """Print what a merge did, and a warning where it merged too little."""
    print(found.summary(), file=sys.stderr)
    if warning := found.warning():
        print(f"warning: {warning}", file=sys.stderr)


def paragraph(found: coverage.Coverage) -> str:
    """Return what a merge did, for its card."""
    warning = found.warning()
    return f"### What was merged\n\n{found.summary()}\n" + (f"\n{warning}\n" if warning else "")


def without_a_place(out: Path) -> list[str]:
    """Return the tensors of the merged models, as far as they are here, that the result has not."""
    import yaml
    from mergekit.config import MergeConfiguration

    config = out / "mergekit_config.yml"
    if not config.is_file():
        return []
    merged = headers(weight_files(out))
    models = MergeConfiguration.model_validate(yaml.safe_load(config.read_text(encoding="utf-8")))
    every = [pair for model in models.referenced_models() for pair in (local_headers(model) or {}).items()]
    return sorted({name for name, header in every if name not in merged and is_parameter(name, header)})
