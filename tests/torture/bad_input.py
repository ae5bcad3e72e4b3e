"""What a case of bad input is: what is spoilt, the command that meets it, and what its one line must say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor


@dataclass(frozen=True)
class Case:
    """A case.

    Attributes:
        words: of the command; ``{root}`` is the folder of the tiny world, ``{out}`` a place not there yet.
        line: a regular expression for the line on stderr that names the fault.
        spoil: what is done to the world before.
    """

    words: str
    line: str
    spoil: Callable[[Path], None] = lambda _root: None


def text(name: str, content: str | bytes) -> Callable[[Path], None]:
    """Return what writes a file."""

    def write(root: Path) -> None:
        path = root / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def remove(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


def truncate(name: str, share: float = 0.5) -> Callable[[Path], None]:
    def cut(root: Path) -> None:
        content = (root / name).read_bytes()
        (root / name).write_bytes(content[: int(len(content) * share)])

    return cut


def flip(name: str, at: int) -> Callable[[Path], None]:
    """Return what changes one bit of the byte at a place."""

    def change(root: Path) -> None:
        content = bytearray((root / name).read_bytes())
        content[at] ^= 1
        (root / name).write_bytes(bytes(content))

    return change


def tensors(name: str, change: Callable[[dict[str, Tensor]], object]) -> Callable[[Path], None]:
    """Return what changes the tensors of a safetensors file."""

    def write(root: Path) -> None:
        found = {key: tensor.clone() for key, tensor in load_file(root / name).items()}
        change(found)
        save_file(found, root / name)

    return write


def in_json(name: str, change: Callable[[dict], object]) -> Callable[[Path], None]:
    """Return what changes the content of a JSON file."""

    def write(root: Path) -> None:
        body = json.loads((root / name).read_text())
        change(body)
        (root / name).write_text(json.dumps(body))

    return write


def in_yaml(name: str, change: Callable[[dict], object], to: str) -> Callable[[Path], None]:
    """Return what writes a changed copy of a YAML file."""

    def write(root: Path) -> None:
        body = yaml.safe_load((root / name).read_text())
        change(body)
        (root / to).write_text(yaml.safe_dump(body, sort_keys=False))

    return write


def both(*steps: Callable[[Path], None]) -> Callable[[Path], None]:
    def do(root: Path) -> None:
        for step in steps:
            step(root)

    return do
