"""Statistics that are damaged, or of something else."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from bad_input import Case, both, flip, in_json, remove, tensors, text, truncate

from sst_mergekit.files import sha256

MERGE, UNCHECKED = "yaml {root}/full.yml {out} --quiet", "yaml {root}/full.yml {out} --quiet --no-check"
HARM = "fisher-guard"
SHARD, MANIFEST = f"{HARM}/statistics-00001-of-00001.safetensors", f"{HARM}/manifest.json"
LAYER = "model.layers.0.self_attn.q_proj.weight"


def manifest(line: str, change: Callable[[dict], object], words: str = MERGE) -> Case:
    return Case(words, line, in_json(MANIFEST, change))


def layer(line: str, change: Callable[[dict], object], words: str = MERGE) -> Case:
    return manifest(line, lambda body: change(body["layers"][LAYER]), words)


def sealed(line: str, change: Callable[[dict], object], words: str = MERGE) -> Case:
    """Return a case of changed tensors whose hash is right again."""
    return Case(words, line, both(tensors(SHARD, change), _seal))


def _seal(root: Path) -> None:
    in_json(MANIFEST, lambda body: body["files"].update({Path(SHARD).name: sha256(root / SHARD)}))(root)


def _linked(root: Path) -> None:
    (root / SHARD).rename(root / "elsewhere.safetensors")
    (root / SHARD).symlink_to(root / "elsewhere.safetensors")


def _of(name: str, value: object) -> Callable[[dict], object]:
    return lambda body: body.update({name: value})


def _map(name: str) -> Callable[[dict], object]:
    return lambda body: body.update(weight_map=dict.fromkeys(body["weight_map"], name))


def _first(tensors_by_name: dict, change: Callable) -> None:
    name = next(name for name in tensors_by_name if name.startswith(LAYER) and name.endswith(".output"))
    tensors_by_name[name] = change(tensors_by_name[name])


SHA = "its SHA-256 is not the one in manifest.json"
CASES = {
    "truncated": Case(MERGE, "not a readable safetensors file", truncate(SHARD)),
    "truncated, unchecked": Case(UNCHECKED, "cannot read", truncate(SHARD)),
    "empty": Case(MERGE, "safetensors: ", text(SHARD, b"")),
    "one bit of a tensor": Case(UNCHECKED, SHA, flip(SHARD, -5)),
    "one bit of a tensor, to lora": Case("lora {root}/adapters.yml {out} --quiet", SHA, flip(SHARD, -5)),
    "one bit of the header's length": Case(UNCHECKED, "cannot read|SHA-256", flip(SHARD, 1)),
    "one bit of the header": Case(UNCHECKED, "cannot read|SHA-256", flip(SHARD, 30)),
    "tensors not there": Case(UNCHECKED, "not found, needed for", remove(SHARD)),
    "no manifest": Case(MERGE, "manifest.json: not found", remove(MANIFEST)),
    "no manifest, unchecked": Case(UNCHECKED, "manifest.json: not found", remove(MANIFEST)),
    "manifest empty": Case(MERGE, "manifest.json: not valid JSON", text(MANIFEST, "")),
    "manifest cut": Case(MERGE, "manifest.json: not valid JSON", truncate(MANIFEST)),
    "manifest binary": Case(MERGE, "manifest.json: not valid JSON", text(MANIFEST, b"\xff\xfe\x00")),
    "manifest nested too deeply": Case(MERGE, "manifest.json: .*deep", text(MANIFEST, "[" * 100_000)),
    "manifest a list": Case(MERGE, "manifest.json: not a manifest", text(MANIFEST, "[]")),
    "manifest of something else": manifest("manifest.json: not a manifest", _of("format", "gguf")),
    "older version": manifest("format_version 1, this release reads", _of("format_version", 1)),
    "newer version": manifest("format_version 99, this release reads", _of("format_version", 99)),
    "a kind of the past": manifest("kind 'ekfac', .*measure again .*--kind kronecker", _of("kind", "ekfac")),
    "version a word": manifest("format_version new, this release reads", _of("format_version", "new")),
    **{
        f"manifest without {name}": manifest(
            f"manifest.json: .*{name}", lambda body, name=name: body.pop(name)
        )
        for name in ("kind", "model", "data", "layers", "weight_map", "files", "versions")
    },
    **{
        f"manifest with a number for {name}": manifest(f"manifest.json: .*{name}", _of(name, 7))
        for name in ("kind", "model", "data", "layers", "weight_map", "files", "skipped")
    },
    "layer without shape": layer("manifest.json: .*shape", lambda record: record.pop("shape")),
    "layer without tensors": layer("manifest.json: .*tensors", lambda record: record.pop("tensors")),
    "shape of three": layer("manifest.json: .*shape", _of("shape", [16, 16, 16])),
    "shape of words": layer("manifest.json: .*shape", _of("shape", ["a", "b"])),
    "shape below 1": layer("manifest.json: .*shape", _of("shape", [0, -3])),
    "tensors a list": layer("manifest.json: .*tensors", _of("tensors", ["input"])),
    "traces a number": layer("manifest.json: .*traces", _of("traces", 3)),
    "trace a word": layer("manifest.json: .*trace", _of("traces", {"input": "much", "output": 1.0})),
    "trace NaN": layer("manifest.json: .*trace", _of("traces", {"input": math.nan, "output": 1.0})),
    "trace negative": layer("manifest.json: .*trace", _of("traces", {"input": -1.0, "output": 1.0})),
    "trace missing": layer("manifest.json: .*trace", _of("traces", {})),
    "another shape in the manifest": layer(LAYER, _of("shape", [8, 8])),
    "another shape in the manifest, unchecked": layer(LAYER, _of("shape", [8, 8]), UNCHECKED),
    "tensor of another shape": sealed(LAYER, lambda t: _first(t, lambda x: x[:3, :3].clone()), UNCHECKED),
    "tensor of three axes": sealed(LAYER, lambda t: _first(t, lambda x: x[None].clone()), UNCHECKED),
    "tensor of whole numbers": sealed(LAYER, lambda t: _first(t, lambda x: x.to(int)), UNCHECKED),
    "NaN": sealed(LAYER, lambda t: _first(t, lambda x: x.fill_(math.nan)), UNCHECKED),
    "one NaN": sealed(
        LAYER, lambda t: _first(t, lambda x: x.index_fill_(0, x.new_tensor([1]).long(), math.nan)), UNCHECKED
    ),
    "infinite": sealed(LAYER, lambda t: _first(t, lambda x: x.fill_(math.inf)), UNCHECKED),
    "zeros": sealed(LAYER, lambda t: _first(t, lambda x: x.zero_()), UNCHECKED),
    "negative": sealed(LAYER, lambda t: _first(t, lambda x: -x), UNCHECKED),
    "a tensor gone": sealed("cannot read", lambda t: t.pop(f"{LAYER}.output"), UNCHECKED),
    "of another model": manifest(
        "is of '/x/y.*measure again", lambda b: b["model"].update(weights="ab" * 32, id="/x/y")
    ),
    "outside by ..": manifest(
        "manifest.json: .*'../base/model.safetensors'", _map("../base/model.safetensors")
    ),
    "outside by .., unchecked": manifest(r"manifest.json: .*'\.\./x'", _map("../x"), UNCHECKED),
    "an absolute path": manifest("manifest.json: .*'/etc/passwd'", _map("/etc/passwd"), UNCHECKED),
    "a file of nothing": manifest("manifest.json: ", _map(""), UNCHECKED),
    "a map to numbers": manifest(
        "manifest.json: ", lambda b: b.update(weight_map=dict.fromkeys(b["weight_map"], 3))
    ),
    "no hash of the file": manifest(SHA, _of("files", {}), UNCHECKED),
    "a link to another file": Case(UNCHECKED, SHA, both(flip(SHARD, -5), _linked)),
    "for card": Case("card {root}/fisher-guard", "manifest.json: not valid JSON", truncate(MANIFEST)),
    "for push": Case("push {root}/fisher-guard user/x --statistics", SHA, flip(SHARD, -5)),
}
