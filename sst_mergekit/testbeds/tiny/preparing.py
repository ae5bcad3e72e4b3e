"""What merges need beside the experts: statistics, and patches fitted to the utility expert."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sst_mergekit.core.settings import DEFAULTS
from sst_mergekit.experiments.methods import Experts
from sst_mergekit.files import write_text

if TYPE_CHECKING:
    from sst_mergekit.statistics.axes import AxesSource

CONFIG = "adapter_config.json"
SUBSPACE_RANK = 16
RESPONSE_TOKENS = 24
REFIT_STRENGTH, REFIT_COST = 0.7, DEFAULTS.cost


def measure_model(
    model: tuple[Path, Path | None],
    rows: Sequence[Path],
    out: Path,
    kind: str,
    samples: int,
    seed: int,
    axes: AxesSource | None = None,
    labels: str = "given",
) -> None:
    """Measure statistics of a checkpoint, or of an adapter on it, on `samples` conversations of `rows`.

    Files have equal shares of the samples; empty ones have none. The model answers what has no answer.
    """
    from sst_mergekit.merging.recipe import quiet_libraries
    from sst_mergekit.statistics.collect import Options
    from sst_mergekit.statistics.estimate import estimate
    from sst_mergekit.statistics.loading import ModelSpec
    from sst_mergekit.statistics.rows import Source

    quiet_libraries()
    spec = ModelSpec(str(model[0]), str(model[1]) if model[1] else None)
    options = Options(kind, labels=labels, batch_size=32, seed=seed, progress=False)
    sources = [Source(str(path), weight=1.0) for path in rows if path.stat().st_size]
    estimate(spec, sources, out, options, samples=samples, axes=axes, respond=RESPONSE_TOKENS)


def fit_patch(experts: Experts, calibration: Path, out: Path, rate: float, seed: int) -> None:
    """Fit the filtered patch to the utility expert with the code of ``sst-mergekit refit``."""
    from sst_mergekit.merging.recipe import quiet_libraries
    from sst_mergekit.statistics.loading import ModelSpec
    from sst_mergekit.statistics.rows import Source
    from sst_mergekit.testbeds.tiny.training import SAFETY_RANK
    from sst_mergekit.training.refit import Data, refit
    from sst_mergekit.training.refit_fitting import Options
    from sst_mergekit.training.start import Start

    quiet_libraries()
    data = Data(Source(str(calibration / "harm.jsonl")), Source(str(calibration / "benign.jsonl")))
    utility, safety = experts.fisher("kronecker")
    start = Start(experts.base, experts.safety, REFIT_STRENGTH, SAFETY_RANK, (safety, utility), REFIT_COST)
    options = Options(learning_rate=rate, seed=seed, progress=False)
    refit(ModelSpec(experts.utility), start, data, out, options)


@contextlib.contextmanager
def halved(adapter: Path) -> Iterator[Path]:
    """Give the adapter with half its scale, for the time of the block."""
    config = json.loads((adapter / CONFIG).read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as temporary:
        half = Path(temporary) / adapter.name
        shutil.copytree(adapter, half)
        write_text(half / CONFIG, json.dumps(config | {"lora_alpha": config["lora_alpha"] / 2}))
        yield half


def axes_of(experts: Experts, kind: str) -> AxesSource | None:
    """Return the coordinates that a kind is measured in."""
    from sst_mergekit.adapters.deltas import deltas
    from sst_mergekit.statistics.axes import AxesSource, joint_basis, patch_axes

    if kind == "ekfac":
        utility, safety = experts.fisher("kronecker")
        return AxesSource(
            lambda: joint_basis(safety, utility, DEFAULTS.damping), {"basis": [safety, utility]}
        )
    if kind == "subspace":
        pair = experts.base, experts.safety
        return AxesSource(lambda: patch_axes(deltas(*pair), SUBSPACE_RANK), {"patch": list(pair)})
    return None
