"""The rule of merge_method sst on tokenizers: rows of statistics do not move with the vocabulary."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mergekit.common import ModelReference

from sst_mergekit.recipe.checkpoint import directory_of
from sst_mergekit.recipe.fault import Fault
from sst_mergekit.recipe.parse import Recipe, reference

Vocabulary = dict[str, int]


def vocabulary_kept(recipe: Recipe) -> Iterator[Fault]:
    """Yield a tokenizer setting that would add, drop or re-order rows of the embeddings.

    Only what is certain: base model and tokenizers must be on this machine.
    """
    key = next((name for name in ("tokenizer", "tokenizer_source") if recipe.raw.get(name)), None)
    old, rows = _vocabulary(recipe.base), _rows(recipe.base)
    if key is None or old is None or rows is None:
        return
    setting = recipe.raw[key]
    options: Mapping[str, Any] = setting if isinstance(setting, Mapping) else {"source": setting}
    new = _built(recipe, options.get("source", "union"), old)
    if new is None:
        return
    tokens = options.get("tokens")
    added = [token for token in tokens or () if token not in new] if isinstance(tokens, Mapping) else []
    size = len(new) + len(added)
    multiple = options.get("pad_to_multiple_of")
    if isinstance(multiple, int) and multiple > 0:
        size += -size % multiple
    advice = f"statistics do not follow; remove {key}, and base_model's tokenizer is copied as it is"
    if size != rows:
        yield Fault(key, f"would change the embeddings from {rows} rows to {size}; {advice}")
    elif any(old.get(token) != place for token, place in new.items()):
        yield Fault(key, f"would re-order the rows of the embeddings; {advice}")


def _built(recipe: Recipe, source: Any, base: Vocabulary) -> Vocabulary | None:
    """Return the vocabulary that mergekit would build, or None if a tokenizer is not here to read."""
    if source == "base":
        return base
    if source != "union":
        return _vocabulary(reference(source))
    every = [_vocabulary(item) for item in recipe.references()]
    if None in every:
        return None
    new = dict(base)
    for vocabulary in every:
        for token in vocabulary or ():
            new.setdefault(token, len(new))
    return new


def _vocabulary(model: ModelReference | None) -> Vocabulary | None:
    directory = directory_of(model.model) if model else None
    path = directory / "tokenizer.json" if directory else None
    if path is None or not path.is_file():
        return None
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path)).get_vocab(with_added_tokens=True)
    except Exception:  # noqa: BLE001  (tokenizers raises bare Exception; mergekit names an unreadable file)
        return None


def _rows(model: ModelReference | None) -> int | None:
    """Return the rows of a model's embeddings as its configuration says."""
    directory = directory_of(model.model) if model else None
    try:
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))  # type: ignore[operator]
    except (OSError, ValueError, TypeError):
        return None
    return config.get("vocab_size") if isinstance(config, dict) else None


def template_kept(recipe: Recipe) -> Iterator[Fault]:
    """Yield a warning where an expert has a chat template, and the base, whose tokenizer is copied, none."""
    if recipe.base is None or any(
        recipe.raw.get(k) for k in ("tokenizer", "tokenizer_source", "chat_template")
    ):
        return
    if _has_template(recipe.base) is not False:
        return
    for model, key in recipe.references().items():
        if model.lora is None and _has_template(model):
            what = f"'{model}' has a chat template, '{recipe.base}', whose tokenizer is copied, has none"
            yield Fault(key, f"{what}; set 'chat_template: auto'", warning=True)
            return


def _has_template(model: ModelReference) -> bool | None:
    """Return whether a model's tokenizer has a chat template; None where it is not here."""
    directory = directory_of(model.model)
    path = directory / "tokenizer_config.json" if directory else None
    if path is None or directory is None or not path.is_file():
        return None
    if (directory / "chat_template.jinja").is_file():
        return True
    try:
        return bool(json.loads(path.read_text(encoding="utf-8")).get("chat_template"))
    except (OSError, ValueError, AttributeError):
        return None


RULES = (vocabulary_kept, template_kept)
