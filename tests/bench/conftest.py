"""The fixture `report`, which every bench records with."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import machine
import pytest
from report import Report


@pytest.fixture(scope="session")
def report() -> Report:
    """Return the collector of this run's figures, written to $SST_BENCH_OUT or bench.md; see `report.py`."""
    return Report(Path(os.environ.get("SST_BENCH_OUT", "bench.md")), machine.described())


@pytest.fixture(autouse=True)
def _duration(request: pytest.FixtureRequest, report: Report) -> Iterator[None]:
    start = time.perf_counter()
    yield
    report.took(request.node.name, time.perf_counter() - start)
