"""Where mergekit folds adapters into full models: the user's cache, or a temporary one."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sst_mergekit.files import temporary_directory

if TYPE_CHECKING:
    from mergekit.config import MergeConfiguration
    from mergekit.options import MergeOptions


def take_adapters() -> None:
    """Let mergekit's own merge take adapters without ``--lora-merge-cache`` where the method is ``sst``.

    The start-up hook calls this when ``mergekit.merge`` has run, before a command takes `run_merge` from it.
    """
    merge = sys.modules["mergekit.merge"]  # mergekit has no attribute of that name yet
    merge.run_merge = _with_a_cache(merge.run_merge)  # pyright: ignore


def _with_a_cache(run_merge: Callable[..., None]) -> Callable[..., None]:
    """Return mergekit's `run_merge` with a temporary cache where ``sst`` needs one and none was given."""

    @functools.wraps(run_merge)
    def run(
        merge_config: MergeConfiguration, out_path: str, options: MergeOptions, *args: Any, **kwargs: Any
    ) -> None:
        from sst_mergekit.recipe.sst_rules import METHOD

        needed = merge_config.merge_method == METHOD and any(m.lora for m in merge_config.referenced_models())
        if options.lora_merge_cache or not needed:
            return run_merge(merge_config, out_path, options, *args, **kwargs)
        out = Path(out_path).absolute()
        out.parent.mkdir(parents=True, exist_ok=True)
        with lora_cache(None, out) as cache:
            chosen = options.model_copy(update={"lora_merge_cache": cache})
            return run_merge(merge_config, out_path, chosen, *args, **kwargs)

    return run


@contextlib.contextmanager
def lora_cache(given: str | None, out: Path) -> Iterator[str]:
    """Yield the cache that was given; else a directory beside ``out`` that is removed afterwards.

    mergekit writes one full model into it for each adapter.
    """
    if given:
        yield given
        return
    with temporary_directory(out, "lora-cache") as temporary:
        try:
            yield str(temporary)
        finally:
            _forget_folded_models()


def _forget_folded_models() -> None:
    """Take folded models out of mergekit's table of open files, which outlives a merge."""
    from mergekit.io.tasks import LoaderCache

    loaders = LoaderCache().loaders
    for model in [model for model in loaders if model.lora]:
        del loaders[model]
