"""Reading a configuration key by key: every fault is one line that names the key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sst_mergekit.errors import SstError, closest


def read_yaml(path: Path, hint: str) -> Any:
    """Return what a YAML file holds.

    Raises:
        SstError: it cannot be read (`hint` says what to do then), or is no YAML.
    """
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SstError(f"{path}: cannot be read ({error.strerror}); {hint}") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise SstError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None


class Section:
    """A mapping of the file, from which each key is taken once; `finish` refuses what is left."""

    def __init__(self, where: str, body: Any) -> None:
        """Take the mapping at `where`; raise SstError if it is none."""
        if not isinstance(body, Mapping):
            raise SstError(f"{where or 'the file'}: got {body!r}, expected a mapping of keys")
        self.where, self._body, self._known = where, body, set[str]()

    def fault(self, key: str, expected: str) -> SstError:
        """Return the error for a key that holds something else than `expected`."""
        return SstError(f"{self.at(key)}: got {self._body.get(key)!r}, expected {expected}")

    def at(self, key: str) -> str:
        """Return the whole name of a key."""
        return f"{self.where}.{key}" if self.where else key

    def has(self, key: str) -> bool:
        """Return whether the key is given; it counts as known."""
        self._known.add(key)
        return key in self._body

    def value(self, key: str) -> Any:
        """Return the value of a key, whatever it is.

        Raises:
            SstError: the key is missing.
        """
        if not self.has(key):
            raise SstError(f"{self.at(key)}: missing; add it")
        return self._body[key]

    def section(self, key: str) -> Section:
        """Return the mapping at a key."""
        return Section(self.at(key), self.value(key))

    def text(self, key: str) -> str:
        """Return a text that is not empty."""
        value = self.value(key)
        if not isinstance(value, str) or not value.strip():
            raise self.fault(key, "a text")
        return value

    def choice(self, key: str, known: tuple[str, ...], default: str) -> str:
        """Return one of the known words."""
        value = self.value(key) if self.has(key) else default
        if value not in known:
            raise SstError(f"{self.at(key)}: unknown {value!r}{closest(str(value), known)}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        value = self.value(key) if self.has(key) else default
        if not isinstance(value, bool):
            raise self.fault(key, "true or false")
        return value

    def whole(self, key: str, least: int = 1) -> int:
        """Return a whole number."""
        value = self.value(key)
        if type(value) is not int or value < least:
            raise self.fault(key, f"a whole number >= {least}")
        return value

    def whole_or_all(self, key: str) -> int | None:
        """Return a whole number, or None for all."""
        if self.value(key) is None:
            return None
        if type(self.value(key)) is not int or self.value(key) < 1:
            raise self.fault(key, "a whole number >= 1, or null for all")
        return self.value(key)

    def words(self, key: str) -> list[str]:
        """Return a list of texts."""
        value = self.value(key)
        if not isinstance(value, list) or not value or not all(isinstance(word, str) for word in value):
            raise self.fault(key, "a list of names")
        return value

    def wholes(self, key: str, least: int) -> list[int]:
        """Return a list of rising whole numbers."""
        value = self.value(key)
        right = isinstance(value, list) and value and all(type(n) is int and n >= least for n in value)
        if not right or value != sorted(set(value)):
            raise self.fault(key, f"a rising list of whole numbers >= {least}")
        return value

    def keys(self) -> list[str]:
        """Return the keys there are, all of them known."""
        self._known |= set(map(str, self._body))
        return list(map(str, self._body))

    def finish(self) -> None:
        """Raise SstError if a key has not been asked for."""
        for key in self._body:
            if key not in self._known:
                raise SstError(f"{self.at(key)}: unknown key{closest(str(key), self._known)}")
