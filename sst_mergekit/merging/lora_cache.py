"""Where mergekit folds adapters into full models: the user's cache, or a temporary one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from sst_mergekit.files import temporary_directory


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
