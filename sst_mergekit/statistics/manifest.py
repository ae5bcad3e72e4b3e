"""The manifest beside the statistics: what was measured, on what, with which versions."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sst_mergekit.errors import StatisticsError
from sst_mergekit.statistics.kinds import KIND_NAMES
from sst_mergekit.statistics.wellformed import faults

FORMAT = "sst-mergekit/statistics"
VERSION = 3  # 2: sums over response tokens alone
FILE_NAME = "manifest.json"


@dataclass(frozen=True)
class LayerRecord:
    """One weight and where its statistics are.

    Attributes:
        shape: (d_out, d_in) of the linear map, whatever way the weight is stored.
        transposed: the weight is stored [d_in, d_out] (GPT-2's Conv1D, embeddings).
        tensors: statistic (``input``, ``output``, ``diagonal``) -> tensor name in the files.
        traces: statistic -> its trace.
        stored: names of the tensors that hold it in checkpoints, where these have others than the model.
    """

    shape: tuple[int, int]
    transposed: bool
    tensors: dict[str, str]
    traces: dict[str, float]
    stored: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """Everything known about a directory of statistics.

    `run`: the batch size, the passes, their bound. `pooled`: expert -> why it has the mean of its layer's.
    """

    kind: str
    model: dict[str, Any]
    adapter: dict[str, Any] | None
    data: dict[str, Any]
    labels: str
    form: dict[str, Any]
    seed: int
    dtype: str
    versions: dict[str, str]
    layers: dict[str, LayerRecord]
    skipped: dict[str, str]
    weight_map: dict[str, str]
    files: dict[str, str]
    run: dict[str, Any] = dataclasses.field(default_factory=dict)
    pooled: dict[str, str] = dataclasses.field(default_factory=dict)

    def to_json(self) -> str:
        """Return the manifest as indented JSON with a stable order of keys."""
        body = {"format": FORMAT, "format_version": VERSION, **dataclasses.asdict(self)}
        return json.dumps(body, indent=1, sort_keys=True) + "\n"


def read_manifest(directory: Path) -> Manifest:
    """Return the manifest of a directory of statistics.

    Raises:
        StatisticsError: it is missing, unreadable, or of another format or kind.
    """
    path = directory / FILE_NAME
    if not path.is_file():
        raise StatisticsError(
            f"{path}: not found; make statistics with 'sst-mergekit fisher --out {directory}'"
        )
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StatisticsError(f"{path}: cannot be read ({error.strerror}); measure again") from None
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise StatisticsError(f"{path}: not valid JSON ({reason}); measure the statistics again") from None
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise StatisticsError(f"{path}: not a manifest of sst-mergekit statistics")
    if body.get("format_version") != VERSION:
        found = body.get("format_version")
        raise StatisticsError(
            f"{path}: format_version {found}, this release reads {VERSION} "
            "(statistics are over every position now); measure again with "
            f"'sst-mergekit fisher --force --out {directory}'"
        )
    fault = next(faults(body), None)
    if fault:
        raise StatisticsError(f"{path}: {fault}; copy it again, or measure the statistics again")
    if body["kind"] not in KIND_NAMES:
        raise StatisticsError(
            f"{path}: kind {body['kind']!r}, this release reads {', '.join(KIND_NAMES)}; measure again with "
            f"'sst-mergekit fisher --kind kronecker --force --out {directory}'"
        )
    body = {"run": {}, "pooled": {}} | body
    fields: dict[str, Any] = {field.name: body.get(field.name) for field in dataclasses.fields(Manifest)}
    fields["layers"] = {name: _layer(record) for name, record in body["layers"].items()}
    return Manifest(**fields)


def _layer(record: dict[str, Any]) -> LayerRecord:
    d_out, d_in = record["shape"]
    stored = tuple(record.get("stored", ()))
    return LayerRecord((d_out, d_in), record["transposed"], record["tensors"], record["traces"], stored)
