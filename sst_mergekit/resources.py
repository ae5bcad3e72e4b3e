"""Where the data folders are: inside the installed package, or beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

from sst_mergekit.errors import SstError

_PACKAGE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    for candidate in (_PACKAGE / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise SstError(f"{name}: folder not found beside {_PACKAGE}; reinstall sst-mergekit")


def tasks_path() -> Path:
    """Return the folder of lm-eval task definitions."""
    return _folder("lm_eval_tasks")


def recipes_path() -> Path:
    """Return the folder of mergekit recipes."""
    return _folder("merge_configs")
