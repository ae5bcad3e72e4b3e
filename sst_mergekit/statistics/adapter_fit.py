"""Whether an adapter is one of a model: made for it, of safetensors, and applied to it tensor by tensor."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sst_mergekit.checkpoints import ADAPTER, ADAPTER_CONFIG, headers
from sst_mergekit.errors import StatisticsError
from sst_mergekit.files import expanded
from sst_mergekit.hub import download
from sst_mergekit.statistics.forms import PEFT

UNCHANGED = re.compile(r"\.base_layer\.weight$")  # PEFT saves an adapted embedding's own weight beside it


def directory_of(name: str, revision: str | None, told: str) -> Path:
    """Return the folder of an adapter in safetensors, of the Hub's cache where it is no local one.

    Raises:
        StatisticsError: there is no such adapter, or it holds pickles alone, which are not read.
    """
    path = expanded(name)
    if not path.is_dir():
        source = f"{told}: the adapter cannot be loaded"
        path = download(name, revision, (ADAPTER, ADAPTER_CONFIG), source, StatisticsError)
    for file in (ADAPTER_CONFIG, ADAPTER):
        if not (path / file).is_file():
            raise StatisticsError(
                f"{told}: the adapter cannot be loaded (holds no {file}); save it again by save_pretrained"
            )
    return path


def require_base(told: str, directory: Path, base: str) -> None:
    """Raise StatisticsError where the adapter's configuration names another model of the Hub than `base`."""
    try:
        config = json.loads((directory / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return  # who loads it says so
    if isinstance(config, Mapping) and (why := other_base(config, base)):
        raise StatisticsError(f"{told}: {why}")


def other_base(config: Mapping[str, Any], base: str) -> str | None:
    """Return that an adapter was trained on another Hub model than `base`, or None.

    Copies keep the last part of the name (``user/Mistral-7B-v0.1``, ``unsloth/Mistral-7B-v0.1-bnb-4bit``);
    local paths prove nothing.

    >>> other_base({"base_model_name_or_path": "org/a"}, "org/b").split(";")[0]
    "was trained on 'org/a', not on 'org/b'"
    """
    made_for = config.get("base_model_name_or_path")
    if not isinstance(made_for, str) or not _of_hub(base) or not _of_hub(made_for):
        return None
    if _last(made_for) == _last(base.partition("@")[0]):
        return None
    return (
        f"was trained on '{made_for}', not on '{base}'; if these are the same, "
        f"write the base's name as base_model_name_or_path into its {ADAPTER_CONFIG}"
    )


def _of_hub(name: str) -> bool:
    """Return whether a name is a Hub id and no path."""
    if not name or name[0] in "./~" or name.count("/") > 1 or Path(name).exists():
        return False
    return "/" not in name or not Path(name).parent.is_dir()


def _last(name: str) -> str:
    """Return the last part of a Hub name, without what Unsloth adds to quantised copies.

    >>> _last("unsloth/Mistral-7B-v0.1-unsloth-bnb-4bit"), _last("mistralai/Mistral-7B-v0.1")
    ('mistral-7b-v0.1', 'mistral-7b-v0.1')
    """
    return re.sub(r"(-unsloth)?-bnb-4bit$", "", name.split("/")[-1].lower())


def require_applied(told: str, directory: Path, applied: set[str]) -> None:
    """Raise StatisticsError unless the adapter's tensors are those that the model with it has.

    Args:
        told: the adapter, for messages.
        directory: of its files.
        applied: the tensors of the adapter in the model, by the names that PEFT saves them under.
    """
    held = {name for name in headers([directory / ADAPTER]) if not UNCHANGED.search(name)}
    if unused := sorted(held - applied):
        raise StatisticsError(
            f"{told}: {_some(unused)} match no module of the model, so PEFT leaves them out; "
            f"save the adapter again by PEFT's save_pretrained (names begin with {PEFT})"
        )
    if missing := sorted(applied - held):
        raise StatisticsError(
            f"{told}: lacks {_some(missing)}, for which its {ADAPTER_CONFIG} has places; save it again"
        )


def _some(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
