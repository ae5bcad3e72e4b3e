"""Statistics against a plain forward and backward pass and against peers; large factors; bounded memory.

The peers kronfluence and bergson, which need no more of what they ask for here:

    .venv/bin/pip install --no-deps kronfluence einops einconv opt-einsum
    .venv/bin/pip install --no-deps bergson jaxtyping wadler-lindig ml_dtypes natsort petname \\
        simple-parsing docstring-parser torchopt optree
"""

from __future__ import annotations

import importlib.util
import json
import math
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from made_models import M140, checkpoint
from turns import Side, in_turn

from sst_mergekit.statistics.sizes import size_of

SECTION = "Statistics"
HERE = Path(__file__).parent
TARGETS = {"activation": 0.5, "kronecker": 1.5, "diagonal": 1.6, "subspace": 1.0}
PEERS = {"one_by_one": "diagonal", "kronfluence": "kronecker", "bergson": "kronecker"}
RANKS = (16, 64, 256)
BOUND = "1600MB"  # of the process; without a bound it takes about 2 GB
MIB = 2**20

SOLVE = """
import sys, torch
from sst_mergekit.core import truncated
from sst_mergekit.core.shrinking import shrink
from usage import measured
size, rank = 14336, int(sys.argv[1])
torch.manual_seed(0)
def made():
    root = torch.randn(size, 512) * torch.arange(1, 513).rsqrt()
    if rank:
        return torch.cat([root[:, :rank], torch.full((size, 1), 0.1)], 1)
    matrix = root @ root.T
    matrix.diagonal().add_(0.1)
    return matrix
harm, benign, x = made(), made(), torch.randn(size, 16)
with measured():
    shrink(harm, benign, x, 0.5, 0.1)
"""

SKETCH = """
import torch
from sst_mergekit.core.sketch import Sketch, kept_rows
from usage import measured
torch.manual_seed(0)
rows = torch.randn(2048, 14336) * torch.arange(1, 14337).rsqrt()
with measured():
    sketch = Sketch(14336, kept_rows(14336, 256), torch.device("cpu"))
    for part in rows.split(256):
        sketch.add(part)
    sketch.top(256)
"""


def _side(way: str, dtype: str = "float32") -> Side:
    return Side([sys.executable, HERE / "measuring.py", way, "12", "8", dtype])


@pytest.mark.bench
@pytest.mark.parametrize(("dtype", "runs"), [("float32", 2), ("bfloat16", 1)])
def test_statistics_against_a_plain_pass(report, dtype: str, runs: int) -> None:
    """Record each kind's CPU seconds over those of a forward and backward with all weights' gradients.

    In float32 also over those of a batch of one, and of kronfluence and bergson where they are installed.
    """
    peers = dict(PEERS) if dtype == "float32" else {}
    for name in [name for name in ("kronfluence", "bergson") if name in peers]:
        if importlib.util.find_spec(name) is None:
            del peers[name]
            report.note(SECTION, f"{name} is not installed, and was not compared with.")
    found = in_turn({way: _side(way, dtype) for way in ("plain", *TARGETS, *peers)}, runs=runs)
    slow = set()
    for kind, most in TARGETS.items():
        wanted = most if dtype == "float32" else None
        name = f"{kind}, {dtype}, against a plain pass"
        if report.ratio(SECTION, name, found, kind, "plain", at_most=wanted) > (wanted or math.inf):
            slow.add(kind)
    for peer, kind in peers.items():
        if report.ratio(SECTION, f"{kind} against {peer}", found, kind, peer, at_most=1.0) > 1:
            slow.add(kind)
    for kind in sorted(slow):
        report.profile(SECTION, kind, _side(kind, dtype))


@pytest.mark.bench
@pytest.mark.parametrize("rank", [0, 256])
def test_a_side_of_14336(report, rank: int) -> None:
    """Record seconds and memory of one dense side of 14336 for a LoRA of rank 16, and of a truncated one."""
    name = "dense" if rank == 0 else f"of rank {rank}"
    runs = in_turn({name: Side([sys.executable, "-c", SOLVE, str(rank)])}, runs=1, threads=2)
    (used,) = runs[name]
    report.figure(SECTION, f"a side of 14336, {name}, wall", [used.wall], "s", at_most=60)
    report.figure(SECTION, f"a side of 14336, {name}, CPU", [used.cpu], "s")
    report.figure(SECTION, f"its memory, {name}", [used.peak], "MB", at_most=3000)


@pytest.mark.bench
def test_a_sketch_of_14336(report) -> None:
    """Record CPU seconds and memory added by a streaming sketch of rank 256 over 2,048 rows."""
    (used,) = in_turn({"sketch": Side([sys.executable, "-c", SKETCH])}, runs=1)["sketch"]
    report.figure(SECTION, "a sketch of 14336 by 2,048 rows, rank 256", [used.cpu], "s")
    report.figure(SECTION, "memory that it adds", [used.growth], "MB", at_most=200)


@pytest.mark.bench
def test_what_truncated_factors_change(report) -> None:
    """Record how far patches filtered by truncated factors are from those of dense ones (`rank_error.py`)."""
    command = [sys.executable, str(HERE / "rank_error.py"), *map(str, RANKS)]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    for rank, errors in told["errors"].items():
        report.figure(SECTION, f"patch by --factor-rank {rank}: error relative to dense factors", errors, "")
    taken, losses = statistics.median(told["taken"]), " to ".join(f"{loss:.2f}" for loss in told["losses"])
    report.note(
        SECTION,
        f"Of a model of 4 M trained for it (width 384, MLP 1,024); median and range over its layers. "
        f"The dense filter itself takes {taken:.3f} of a patch's norm. Losses: {losses}.",
    )


@pytest.mark.bench
def test_memory_of_the_command(report, tmp_path: Path) -> None:
    """Record peaks of ``fisher`` with and without --max-memory beside what --plan foretells, at 140 M."""
    model, data = checkpoint(tmp_path / "model", M140, 0), tmp_path / "data.jsonl"
    row = json.dumps({"prompt": " ".join(["w1"] * 16), "response": " ".join(["w2"] * 48)})
    data.write_text(f"{row}\n" * 8)
    line = ["fisher", "--model", str(model), "--data", str(data), "--quiet"]
    for name, more in {"without a bound": [], f"within {BOUND}": ["--max-memory", BOUND]}.items():
        out = tmp_path / name
        words = [*line, *more]
        (used,) = in_turn({name: Side([sys.executable, HERE / "command.py", *words, "--out", out])}, 1)[name]
        planned = subprocess.run(
            [sys.executable, "-m", "sst_mergekit", *words, "--plan", "--json"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        told, run = json.loads(planned.stdout), json.loads((out / "manifest.json").read_text())["run"]
        most = size_of(BOUND) / MIB if more else None
        shown = f"fisher {name}, {run['passes']} passes"
        report.figure(SECTION, f"{shown}: peak", [used.peak], "MB", at_most=most)
        report.figure(SECTION, f"{shown}: CPU seconds", [used.cpu], "s")
        report.figure(
            SECTION, f"{shown}: foretold, {told['passes']} passes", [told["peak_memory"] / MIB], "MB"
        )
