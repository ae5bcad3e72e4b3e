from __future__ import annotations

from pathlib import Path

import pytest
from small_tasks import write_small_data


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_data(tmp_path_factory.mktemp("small_data"))
