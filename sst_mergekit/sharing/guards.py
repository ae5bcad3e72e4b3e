"""What keeps a directory from being pushed: pickles, links outward, damaged or missing files, tokens."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from sst_mergekit.errors import SharingError, SstError
from sst_mergekit.files import sha256
from sst_mergekit.sharing.kinds import ADAPTER
from sst_mergekit.statistics.fingerprint import weights_fingerprint
from sst_mergekit.statistics.manifest import FILE_NAME, read_manifest

PICKLES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib"}
TEXTS = {".md", ".json", ".yml", ".yaml", ".txt", ".jinja", ""}
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{20,}")
_PATH = re.compile(r"(?<![\w./:~-])/(?:[\w.@+-]+/)+[\w.@+-]+")


def refuse_pickles(directory: Path) -> None:
    """Raise SharingError for a file at the top of a directory that would be unpickled by who loads it."""
    for path in sorted(directory.iterdir()):
        if path.suffix.lower() in PICKLES and path.is_file():
            raise SharingError(
                f"{path}: a pickle, which can run code where it is loaded; save weights as safetensors, "
                "and move this file away"
            )


def refuse_links_outward(directory: Path) -> None:
    """Raise SharingError for a symbolic link, anywhere in a directory, to something outside it."""
    root = directory.resolve()
    for folder, folders, files in os.walk(directory):
        for name in sorted(folders + files):
            path = Path(folder, name)
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise SharingError(
                    f"{path}: links to {path.resolve()}, outside {directory}; put a copy there"
                )


def require_weights(directory: Path, kind: str, files: Mapping[str, Path]) -> None:
    """Raise SharingError unless the weights of a model or adapter are there, whole and readable."""
    weights = [name for name in files if name.endswith(".safetensors")]
    if not weights:
        wanted = "adapter_model.safetensors" if kind == ADAPTER else "*.safetensors"
        raise SharingError(f"{directory}: holds no {wanted}; merge again")
    try:
        weights_fingerprint(directory)  # reads every header
    except SstError as error:
        raise SharingError(str(error)) from None
    for name, path in files.items():
        if name.endswith(".safetensors.index.json"):
            for shard in _shards(path):
                if shard not in files:
                    raise SharingError(f"{path}: names {shard}, which is not there; copy the model again")


def _shards(index: Path) -> list[str]:
    try:
        return sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise SharingError(f"{index}: damaged ({error!r}); copy the model again") from None


def require_statistics(directory: Path, files: Mapping[str, Path]) -> dict[str, Path]:
    """Return the files without weights that the manifest does not name.

    Raises:
        SharingError: a file is missing, or its SHA-256 is not the manifest's.
        StatisticsError: the manifest is damaged.
    """
    named = read_manifest(directory).files
    for name, expected in named.items():
        if name not in files:
            raise SharingError(f"{directory}: lacks {name}, which {FILE_NAME} names; measure again")
        if sha256(files[name]) != expected:
            raise SharingError(
                f"{files[name]}: its SHA-256 is not the one in {FILE_NAME}; copy it again, or measure again"
            )
    return {n: path for n, path in files.items() if n in named or not n.endswith(".safetensors")}


def refuse_tokens(files: Mapping[str, Path]) -> None:
    """Raise SharingError for a text file with what looks like an access token of the Hub."""
    for path, text in _texts(files):
        if _TOKEN.search(text):
            raise SharingError(f"{path}: holds what looks like an access token (hf_…); remove it")


def paths_of_this_machine(files: Mapping[str, Path]) -> list[str]:
    """Return ``file: path`` for the first path of each text file that exists on this machine."""
    named = []
    for path, text in _texts(files):
        if path.name == "tokenizer.json":
            continue
        here = next((found for found in _PATH.findall(text) if Path(found).exists()), None)
        if here:
            named.append(f"{path.name}: {here}")
    return named


def _texts(files: Mapping[str, Path]) -> Iterator[tuple[Path, str]]:
    for path in files.values():
        if path.suffix in TEXTS:
            yield path, path.read_text(encoding="utf-8", errors="replace")
