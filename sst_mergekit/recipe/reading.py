"""A recipe's YAML as a mapping: each key once, nothing within itself, no more than can be looked through."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from sst_mergekit.errors import RecipeError

MOST_VALUES = 100_000  # of a recipe, aliases written out
DEEPEST = 50


class _UniqueKeys(yaml.SafeLoader):
    """A loader that refuses a mapping with a key written twice (YAML forbids it, PyYAML keeps the last)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                problem = f"key '{key.value}' is written twice, mergekit would use the last one only"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Mapping[str, Any]:
    """Return the mapping in a YAML file.

    Raises:
        RecipeError: the file is missing, no YAML, or no mapping; it writes a key twice, holds itself,
            or more than anybody would write.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RecipeError(f"{path}: cannot be read ({reason})") from None
    try:
        raw = yaml.load(text, Loader=_UniqueKeys)  # noqa: S506  (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise RecipeError(f"{path}: {place}{error.problem}; mend the YAML there") from None
    except RecursionError:
        raise RecipeError(f"{path}: nested too deeply for a recipe; write it flatter") from None
    except (yaml.YAMLError, ValueError, TypeError) as error:  # of a date or number that is none, too
        raise RecipeError(f"{path}: not YAML ({' '.join(str(error).split())}); mend it") from None
    if not isinstance(raw, Mapping):
        raise RecipeError(f"{path}: holds {type(raw).__name__}, expected keys like merge_method and models")
    if _values(raw, 0) > MOST_VALUES:
        raise RecipeError(
            f"{path}: holds itself, is nested over {DEEPEST} deep, or repeats itself by aliases beyond "
            f"{MOST_VALUES:,} values; write it out"
        )
    return raw


def _values(value: Any, depth: int) -> int:
    """Return how many values there are, aliases written out; more than enough where they are too deep."""
    if not isinstance(value, Mapping | list | tuple | set):
        return 1
    if depth > DEEPEST:
        return MOST_VALUES + 1
    found = 1
    for item in value.values() if isinstance(value, Mapping) else value:
        found += _values(item, depth + 1)
        if found > MOST_VALUES:
            break
    return found
