"""The README's table of architectures is what its command prints, and no tensor is silently wrong."""

from pathlib import Path

import pytest
from architectures import ARCHITECTURES, row
from mixtures import MIXTURES

import sst_mergekit

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.parametrize("model_type", [*ARCHITECTURES, *MIXTURES])
def test_the_table_is_true(model_type: str, tmp_path: Path) -> None:
    sst_mergekit.register()
    found = row(model_type, tmp_path)
    assert not found.silent
    assert "WRONG" not in str(found)
    assert str(found) in README.read_text(encoding="utf-8").splitlines()
