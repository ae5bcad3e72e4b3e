"""The readers of what others wrote: recipes, manifests, rows: any bytes are read, or an SstError."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from sst_mergekit.errors import SstError
from sst_mergekit.recipe.check import check
from sst_mergekit.recipe.parse import load_recipe
from sst_mergekit.statistics.manifest import FILE_NAME, FORMAT, VERSION, read_manifest
from sst_mergekit.statistics.rows import Source, read_conversations

_FOLDER = Path(tempfile.mkdtemp(prefix="sst-readers-"))


def recipe(content: bytes) -> None:
    path = _FOLDER / "recipe.yml"
    path.write_bytes(content)
    check(load_recipe(path))


def manifest(content: bytes) -> None:
    (_FOLDER / FILE_NAME).write_bytes(content)
    found = read_manifest(_FOLDER)
    assert all(Path(name).name == name for name in found.weight_map.values())


def rows(content: bytes) -> None:
    path = _FOLDER / "rows.jsonl"
    path.write_bytes(content)
    for conversation in read_conversations(Source(str(path)), None, 0):
        assert all(text.encode() is not None for _, text in conversation.messages)


READERS: dict[str, Callable[[bytes], None]] = {"recipe": recipe, "manifest": manifest, "rows": rows}


def read(name: str, content: bytes) -> bool:
    """Return whether the content was read; False where it was refused as it should be."""
    try:
        READERS[name](content)
    except SstError as error:
        line = str(error)
    else:
        return True
    assert line.strip()
    assert "\n" not in line
    return False


_LAYER = {
    "shape": [2, 3],
    "transposed": False,
    "tensors": {"input": "w.input"},
    "traces": {"input": 3.0},
}
_MANIFEST = {
    "format": FORMAT,
    "format_version": VERSION,
    "kind": "activation",
    "model": {"id": "m"},
    "adapter": None,
    "data": {},
    "labels": "given",
    "form": {},
    "seed": 0,
    "dtype": "float32",
    "versions": {},
    "layers": {"w": _LAYER},
    "skipped": {},
    "weight_map": {"w.input": "a.safetensors"},
    "files": {"a.safetensors": "00"},
}
_RECIPE = """merge_method: sst
base_model: /no/base
models:
  - model: /no/utility
    parameters: {role: utility, fisher: /no/f1}
  - model: /no/base+/no/guard
    parameters: {role: safety, fisher: /no/f2, weight: [1, 0.5]}
parameters: {strength: 0.7, cost: [{filter: mlp, value: 0.1}, {value: 0.3}], filter: hard}
dtype: float32
"""
_ROWS = (
    '{"prompt": "a", "response": "b"}\n',
    '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n',
)
CORPUS = {
    "recipe": [
        _RECIPE.encode(),
        b"slices:\n- sources: [{model: a, layer_range: [0, 4]}]\nmerge_method: passthrough\n",
        b"merge_method: ties\nmodules: {x: {models: [{model: a/b@main}]}}\ntokenizer: {source: union}\n",
    ],
    "manifest": [json.dumps(_MANIFEST).encode()],
    "rows": [line.encode() for line in _ROWS],
}
