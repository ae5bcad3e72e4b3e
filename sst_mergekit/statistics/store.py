"""Reading statistics: a local directory or a Hub repository, one tensor at a time."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from sst_mergekit.core.geometry import Geometry
from sst_mergekit.errors import StatisticsError
from sst_mergekit.files import expanded, sha256
from sst_mergekit.hub import download
from sst_mergekit.statistics import kinds
from sst_mergekit.statistics.forms import NOT_BY_TEXT, bare_name
from sst_mergekit.statistics.manifest import FILE_NAME, LayerRecord, Manifest, read_manifest


class StatisticsStore:
    """Statistics on disk; tensors are memory-mapped and read when asked for."""

    def __init__(self, directory: Path, source: str) -> None:
        self.source = source
        self.directory = directory
        self.manifest: Manifest = read_manifest(directory)
        self._totals: dict[str, float] = {}
        self._verified: set[str] = set()

    def find(self, tensor_name: str) -> LayerRecord | None:
        """Return the record of a weight by its name in the checkpoint, or None.

        Checkpoints and models disagree about outer containers (``transformer.h.0`` and ``h.0``);
        names are compared without them (`statistics.forms`).
        """
        layers = self.manifest.layers
        if tensor_name in layers:
            return layers[tensor_name]
        return self._by_bare_name.get(bare_name(tensor_name))

    def slices(self, tensor_name: str) -> list[str]:
        """Return the names of the slices of a stack of experts [E, ...], in order; none: it is no stack."""
        found = (f"{tensor_name}[{number}]" for number in itertools.count())
        return list(itertools.takewhile(lambda name: self.find(name) is not None, found))

    def covers(self, tensor_name: str) -> bool:
        """Return whether a checkpoint's tensor is a measured weight, holds several, or is a part of one."""
        return (
            self.find(f"{tensor_name}[0]") is not None
            or bare_name(tensor_name) in self._parts
            or (self.find(tensor_name) is not None)
        )

    def why_not(self, tensor_name: str) -> str:
        """Return why a tensor has no statistics."""
        return self._skipped.get(bare_name(tensor_name.partition("[")[0]), "not a measured linear layer")

    def follows_utility(self, tensor_name: str) -> bool:
        """Return whether a tensor was left out because text does not reach it: it serves images."""
        return self.why_not(tensor_name) == NOT_BY_TEXT

    @functools.cached_property
    def _skipped(self) -> dict[str, str]:
        return {bare_name(name): why for name, why in self.manifest.skipped.items()}

    @functools.cached_property
    def _parts(self) -> set[str]:
        return {bare_name(name) for record in self.manifest.layers.values() for name in record.stored}

    @property
    def factors(self) -> str | None:
        """Return the form of the Kronecker factors; None where there are none, or it is not known."""
        return self.manifest.form.get("factors") if kinds.KINDS[self.manifest.kind].has_forms else None

    @functools.cached_property
    def _by_bare_name(self) -> dict[str, LayerRecord]:
        return {bare_name(name): record for name, record in self.manifest.layers.items()}

    def tensors(self, record: LayerRecord, names: tuple[str, ...], device: str = "cpu") -> dict[str, Tensor]:
        """Return the named statistics of one layer.

        Raises:
            StatisticsError: a statistic was not measured, or a file is missing, damaged, or not the one
                whose SHA-256 the manifest names (seen when the first tensor of a file is read).
        """
        return {name: self._tensor(record, name, device) for name in names}

    def _tensor(self, record: LayerRecord, name: str, device: str) -> Tensor:
        key = record.tensors.get(name)
        if key is None:
            measured = ", ".join(sorted(record.tensors))
            raise StatisticsError(
                f"{self.source}: holds {self.manifest.kind} statistics ({measured}), not '{name}'; "
                "measure again with a --kind that fits the recipe's geometry"
            )
        name = self.manifest.weight_map.get(key, "")
        path = self.directory / name
        if Path(name).name != name or not path.is_file():  # in the Hub's cache files are links to elsewhere
            raise StatisticsError(f"{path}: not found, needed for {key}; measure the statistics again")
        try:
            with safe_open(path, framework="pt", device=device) as file:
                self._verify(path)
                return file.get_tensor(key)
        except (SafetensorError, OSError) as error:
            raise StatisticsError(
                f"{path}: cannot read {key} ({error}); measure the statistics again"
            ) from None

    def _verify(self, path: Path) -> None:
        if path.name not in self._verified and sha256(path) != self.manifest.files.get(path.name):
            raise StatisticsError(
                f"{path}: its SHA-256 is not the one in {FILE_NAME}; "
                "copy or download it again, or measure again"
            )
        self._verified.add(path.name)

    def total_trace(self, geometry: Geometry) -> float:
        """Return the trace of the geometry's Fisher, summed over all measured layers."""
        if geometry.name not in self._totals:
            self._totals[geometry.name] = sum(
                self.trace(record, geometry) for record in self.manifest.layers.values()
            )
        return self._totals[geometry.name]

    def trace(self, record: LayerRecord, geometry: Geometry) -> float:
        """Return the trace of the geometry's Fisher of one layer.

        Raises:
            StatisticsError: the statistics are of another kind than the geometry needs.
        """
        missing = [name for name in geometry.needs if name not in record.tensors]
        if missing:
            raise StatisticsError(
                f"{self.source}: holds {self.manifest.kind} statistics, but geometry '{geometry.name}' "
                f"needs '{missing[0]}'; measure again with --kind {geometry.name} or change the geometry"
            )
        return geometry.trace(record.traces, record.shape)


def unlike(first: StatisticsStore, other: StatisticsStore) -> str | None:
    """Return what is wrong where the Kronecker factors of two were measured in different forms.

    Forms differ in what a factor is a mean of, so neither a sum nor a ratio of two means anything.
    """
    if None in (first.factors, other.factors) or first.factors == other.factors:
        return None
    return (
        f"{other.source} holds factors of form {other.factors!r}, {first.source} of form {first.factors!r}; "
        f"measure again with 'sst-mergekit fisher --factors {first.factors}'"
    )


def require_one_form(stores: Iterable[StatisticsStore]) -> None:
    """Raise StatisticsError where Kronecker factors were measured in different forms."""
    known = [store for store in stores if store.factors is not None]
    for fault in (unlike(known[0], other) for other in known[1:]):
        if fault:
            raise StatisticsError(fault)


def open_statistics(source: str) -> StatisticsStore:
    """Return the statistics at a local directory or Hub repository (``user/name[@revision]``).

    Raises:
        StatisticsError: nothing usable is there.
    """
    directory = _locate(source)
    manifest = directory / FILE_NAME
    stamp = manifest.stat().st_mtime_ns if manifest.is_file() else 0
    return _open_cached(str(directory), source, stamp)


@functools.lru_cache(maxsize=64)
def _open_cached(directory: str, source: str, stamp: int) -> StatisticsStore:
    return StatisticsStore(Path(directory), source)


def _locate(source: str) -> Path:
    path = expanded(source)
    if path.is_dir():
        return path
    repo, _, revision = source.partition("@")
    if repo.count("/") != 1 or repo.startswith((".", "/", "~")) or repo.endswith("/"):
        raise StatisticsError(
            f"{source}: no such directory; make it with 'sst-mergekit fisher --out {source}'"
        )
    return download(repo, revision or None, (FILE_NAME, "*.safetensors"), source, StatisticsError)
