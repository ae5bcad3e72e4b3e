"""What SST is compared with: one file a baseline, with its formula, its mergekit method and its row.

A new baseline is a new file here that has ``BASELINES``; nothing else names it. Importing a file needs torch
and no host: mergekit is loaded where a ``merge_method`` is made.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sst_mergekit.baselines.shared.baseline import Baseline


@functools.cache
def found() -> tuple[Baseline, ...]:
    """Return the baselines of every file here, in the order of the files' names."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return tuple(baseline for module in modules for baseline in module.BASELINES)


def merge_methods() -> tuple[Any, ...]:
    """Return the mergekit methods that the baselines add, the same objects each time."""
    import mergekit.merge_methods.registry  # noqa: F401 (first, for its hook asks for them too)

    return _made()


@functools.cache
def _made() -> tuple[Any, ...]:
    return tuple(baseline.merge_method() for baseline in found() if baseline.merge_method)
