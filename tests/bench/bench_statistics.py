"""Statistics against a plain forward and backward pass and against peers; large factors; bounded memory."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from turns import Side, in_turn

SECTION = "Statistics"
HERE = Path(__file__).parent
TARGETS = {"activation": 0.5, "kronecker": 1.3, "diagonal": 1.6, "subspace": 1.0}

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
    return Side([sys.executable, HERE / "measuring.py", way, "12", "32", dtype])


@pytest.mark.bench
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_statistics_against_a_plain_pass(report, dtype: str) -> None:
    """Record each kind's CPU seconds over those of a forward and backward with all weights' gradients."""
    runs = in_turn({way: _side(way, dtype) for way in ("plain", *TARGETS)}, runs=3)
    for kind, most in TARGETS.items():
        wanted = most if dtype == "float32" else None
        report.ratio(SECTION, f"{kind}, {dtype}, against a plain pass", runs, kind, "plain", at_most=wanted)


@pytest.mark.bench
def test_statistics_against_peers(report) -> None:
    """Record CPU seconds over those of kronfluence, where it is installed, and of a batch of one."""
    peers = {"one_by_one": "diagonal", "kronfluence": "kronecker"}
    if importlib.util.find_spec("kronfluence") is None:
        peers.pop("kronfluence")
        report.note(SECTION, "kronfluence is not installed, and was not compared with.")
    for peer, kind in peers.items():
        runs = in_turn({kind: _side(kind), peer: _side(peer)}, runs=3)
        report.ratio(SECTION, f"{kind} against {peer}", runs, kind, peer, at_most=1.0)


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
