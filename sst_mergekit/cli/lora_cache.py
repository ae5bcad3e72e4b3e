"""Where mergekit folds adapters into full models: the user's cache, or a temporary one."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def lora_cache(given: str | None, out: Path) -> Iterator[str]:
    """Yield the cache that was given; else a directory beside ``out`` that is removed afterwards.

    mergekit makes the directory when it folds the first adapter, one full model for each.
    """
    if given:
        yield given
        return
    temporary = out.with_name(f".{out.name}.lora-cache-{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        yield str(temporary)
    finally:
        _forget_folded_models()
        shutil.rmtree(temporary, ignore_errors=True)


def _forget_folded_models() -> None:
    """Take folded models out of mergekit's table of open files, which outlives a merge."""
    from mergekit.io.tasks import LoaderCache

    loaders = LoaderCache().loaders
    for model in [model for model in loaders if model.lora]:
        del loaders[model]
