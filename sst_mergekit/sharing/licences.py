"""The licences of what a merge was made from, as their cards state them, and whether they agree."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from sst_mergekit.sharing.ingredients import Ingredient
from sst_mergekit.sharing.names import on_hub, shown

log = logging.getLogger(__name__)
SECONDS = 10  # for one answer of the Hub


def licences(ingredients: Sequence[Ingredient]) -> dict[str, str | None]:
    """Return source -> licence of each ingredient; None where no card states it or it cannot be reached."""
    return {item.source: _licence(item) for item in ingredients}


def _licence(item: Ingredient) -> str | None:
    card = item.directory / "README.md" if item.directory else None
    stated = _in_card(card) if card is not None and card.is_file() else None
    if stated is None and on_hub(item.source):
        stated = _on_hub(item.source, item.revision)
    return stated


def _in_card(path: Path) -> str | None:
    import yaml
    from huggingface_hub.repocard import metadata_load

    try:
        metadata = metadata_load(path)
    except (yaml.YAMLError, ValueError, OSError) as error:
        log.warning("%s: its metadata cannot be read (%s); its licence counts as unknown", path, error)
        return None
    return _stated(metadata or {})


def _on_hub(repo: str, revision: str | None) -> str | None:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError

    from sst_mergekit.hub_faults import HTTPError  # pyright: ignore[reportPrivateImportUsage]

    try:
        card = HfApi().model_info(repo, revision=revision, timeout=SECONDS).card_data
    except (HTTPError, HFValidationError, OSError) as error:
        log.info("%s: no licence known (%s)", repo, type(error).__name__)
        return None
    return _stated(card.to_dict()) if card else None


def _stated(metadata: Mapping[str, object]) -> str | None:
    """Return the licence of a card's metadata; ``other`` by its own name.

    >>> _stated({"license": "other", "license_name": "qwen-research"})
    'qwen-research'
    """
    licence = metadata.get("license")
    if licence == "other" and metadata.get("license_name"):
        licence = metadata["license_name"]
    return str(licence).lower() if isinstance(licence, str) and licence else None


def agreed(found: Mapping[str, str | None]) -> str | None:
    """Return the one licence of all ingredients, or None if they differ or one is unknown.

    >>> agreed({"a": "mit", "b": "mit"}), agreed({"a": "mit", "b": None})
    ('mit', None)
    """
    stated = set(found.values())
    return stated.pop() if len(stated) == 1 else None


def licence_section(found: Mapping[str, str | None]) -> str:
    """Return what a card says of its ingredients' licences: a warning unless all state the same."""
    by_licence: dict[str | None, list[str]] = {}
    for source, licence in found.items():
        by_licence.setdefault(licence, []).append(shown(source))
    one = agreed(found)
    if one:
        return f"All that this was made from is under `{one}`, by its cards."
    lines = [
        f"> - {f'`{licence}`' if licence else 'no licence known'}: {', '.join(sources)}"
        for licence, sources in sorted(by_licence.items(), key=lambda item: (item[0] is None, item[0] or ""))
    ]
    stated = [licence for licence in by_licence if licence]
    what = (
        "The licences of what this was made from differ" if len(stated) > 1 else "Not every licence is known"
    )
    return "\n".join(
        [f"> [!WARNING]\n> {what}; find out whether you may share and use the result.", ">", *lines]
    )
