"""Writing statistics: sharded safetensors and a manifest, in a directory that appears whole."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from sst_mergekit.core.geometry import trace
from sst_mergekit.core.settings import TRACED
from sst_mergekit.files import sha256
from sst_mergekit.statistics.collect import Collected
from sst_mergekit.statistics.layers import Layer
from sst_mergekit.statistics.manifest import FILE_NAME, LayerRecord, Manifest
from sst_mergekit.statistics.memory import SHARD

ROUNDED = ("input", "output", "diagonal")


def kept_as(name: str, dtype: torch.dtype) -> torch.dtype:
    """Return what a statistic is written as where second moments are written as `dtype`."""
    return dtype if name in ROUNDED else torch.float32


class Nowhere:
    """A sink that lets go of everything: of a process that does not write."""

    def add(self, layer: Layer, means: dict[str, Tensor]) -> None:
        """Take nothing."""

    def flush(self) -> None:
        """Hold nothing."""


class StatisticsWriter:
    """Writes layers as they are measured into an existing empty directory; `finish` adds the manifest.

    Args:
        directory: where.
        dtype: of second moments; coordinates and scores stay as they are.
        shard_bytes: a file is written when it would grow beyond this.
    """

    def __init__(self, directory: Path, dtype: torch.dtype = torch.float32, shard_bytes: int = SHARD) -> None:
        self._directory, self._dtype, self._limit = directory, dtype, shard_bytes
        self._tensors: dict[str, Tensor] = {}
        self._shards: list[tuple[Path, list[str]]] = []
        self._traces: dict[str, dict[str, float | None]] = {}

    def add(self, layer: Layer, means: dict[str, Tensor]) -> None:
        """Take a layer's means."""
        stored = {name: each.to(kept_as(name, self._dtype)) for name, each in means.items()}
        if self._tensors and self.waiting + sum(each.nbytes for each in stored.values()) > self._limit:
            self.flush()
        self._tensors |= {f"{layer.name}.{name}": each.cpu().contiguous() for name, each in stored.items()}
        self._traces[layer.name] = {
            name: trace(name, each) if name in TRACED else None for name, each in stored.items()
        }

    @property
    def waiting(self) -> int:
        """Return the bytes that are not on the disk yet."""
        return sum(each.nbytes for each in self._tensors.values())

    def flush(self) -> None:
        """Write what was taken so far, and hold it no longer."""
        if not self._tensors:
            return
        path = self._directory / f"part-{len(self._shards)}.safetensors"
        save_file(self._tensors, path)
        self._shards.append((path, list(self._tensors)))
        self._tensors = {}

    def finish(self, collected: Collected, about: dict) -> Manifest:
        """Write what is left and the manifest, and return it.

        Args:
            collected: what was measured; its means have been taken before.
            about: the manifest's fields on model, adapter, data, labels, seed, dtype, versions and kind.
        """
        self.flush()
        weight_map, files = {}, {}
        for number, (path, names) in enumerate(self._shards, 1):
            name = f"statistics-{number:05d}-of-{len(self._shards):05d}.safetensors"
            path = path.rename(path.with_name(name))
            weight_map |= dict.fromkeys(names, name)
            files[name] = sha256(path)
        layers = {layer.name: self._record(layer, collected) for layer in collected.layers}
        manifest = Manifest(
            layers=layers,
            skipped=collected.skipped,
            weight_map=weight_map,
            files=files,
            pooled=collected.pooled,
            **about,
        )
        (self._directory / FILE_NAME).write_text(manifest.to_json(), encoding="utf-8")
        return manifest

    def _record(self, layer: Layer, collected: Collected) -> LayerRecord:
        own = collected.shared.get(layer.name, layer.name)
        owner = collected.input_owner[layer.name] if own == layer.name else own
        at = dict.fromkeys(self._traces[own], own)
        if "input" in self._traces[owner]:
            at["input"] = owner
        traces = {name: self._traces[place][name] for name, place in sorted(at.items())}
        return LayerRecord(
            shape=layer.shape,
            transposed=layer.transposed,
            tensors={name: f"{place}.{name}" for name, place in sorted(at.items())},
            traces={name: value for name, value in traces.items() if value is not None},
            stored=layer.stored,
        )
