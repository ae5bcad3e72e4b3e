"""What `fisher --plan` says of the seed models: the README's table, computed anew."""

from __future__ import annotations

from pathlib import Path

import planned
import pytest
from seed_models import SIZES

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.bench
def test_the_table_of_the_readme(report) -> None:
    lines = list(planned.lines(SIZES))
    report.note("Plans of the seed models", "\n".join(lines))
    readme = README.read_text(encoding="utf-8")
    assert [line for line in lines if line not in readme] == []
