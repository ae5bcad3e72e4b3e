"""A tiny utility expert, a safety adapter on their base, statistics of both, and data."""

from pathlib import Path

import pytest
from tiny import tiny_adapter, tiny_data, tiny_llama, tiny_statistics

HARM = (
    ("w1 w2", "w20 w21"),
    ("w3 w4", "w20 w21"),
    ("w5 w6 w7", "w20 w21"),
    ("w8", "w20 w21"),
    ("w9 w2", "w20 w21"),
)


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Path:
    """A folder with base, utility, safety (adapter), harm.jsonl, benign.jsonl, f-harm and f-benign."""
    root = tmp_path_factory.mktemp("refit")
    base, utility = tiny_llama(root / "base", 0), tiny_llama(root / "utility", 1)
    safety = tiny_adapter(root / "safety", base, 2)
    harm, benign = tiny_data(root / "harm.jsonl", HARM), tiny_data(root / "benign.jsonl")
    tiny_statistics(root / "f-harm", base, harm, adapter=safety)
    tiny_statistics(root / "f-benign", utility, benign)
    return root
