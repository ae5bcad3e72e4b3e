"""Readers of recipes, manifests and rows under made and mutated input: it is read, or an SstError."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from readers import CORPUS, READERS, read

from sst_mergekit.recipe.parse import load_recipe

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.dates()
KEYS = (
    "merge_method",
    "base_model",
    "models",
    "slices",
    "modules",
    "parameters",
    "dtype",
    "tokenizer",
    "sst",
)
WORDS = ("model", "sources", "layer_range", "role", "fisher", "weight", "filter", "value", "utility", "a/b+c")
names = st.sampled_from(KEYS + WORDS) | st.text(max_size=6)
values: Any = st.recursive(
    scalars | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
recipes = st.dictionaries(st.sampled_from(KEYS), values, max_size=6)


@QUICK
@given(recipes)
def test_any_recipe_is_read_or_refused(body: dict) -> None:
    read("recipe", yaml.safe_dump(body, allow_unicode=True).encode())


@QUICK
@given(recipes)
def test_a_recipe_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, body: dict) -> None:
    path = tmp_path_factory.getbasetemp() / "written.yml"
    path.write_text(yaml.safe_dump(body, allow_unicode=True), encoding="utf-8")
    assert repr(load_recipe(path).raw) == repr(yaml.safe_load(path.read_text(encoding="utf-8")))


@QUICK
@given(st.sampled_from(sorted(json.loads(CORPUS["manifest"][0]))), values)
def test_any_value_in_a_manifest_is_read_or_refused(key: str, value: Any) -> None:
    body = json.loads(CORPUS["manifest"][0]) | {key: value}
    read("manifest", json.dumps(body, default=str).encode())


@QUICK
@given(st.lists(values, max_size=4))
def test_any_rows_are_read_or_refused(rows: list) -> None:
    read("rows", "\n".join(json.dumps(row, default=str) for row in rows).encode())


@pytest.mark.parametrize("name", READERS)
def test_the_corpus_is_read_and_mutations_never_crash(name: str) -> None:
    numbers = random.Random(7)
    for content in CORPUS[name]:
        assert read(name, content)
        for _ in range(100):
            read(name, mutated(content, numbers))


def mutated(content: bytes, numbers: random.Random) -> bytes:
    """Return the content with a few bytes changed, cut out or doubled."""
    found = bytearray(content)
    for _ in range(numbers.randint(1, 4)):
        at, size = numbers.randrange(len(found) + 1), numbers.randint(1, 8)
        change = numbers.randrange(3)
        if change == 0:
            found[at : at + 1] = bytes([numbers.randrange(256)])
        elif change == 1:
            del found[at : at + size]
        else:
            found[at:at] = found[at : at + size]
    return bytes(found)


@pytest.mark.torture
@pytest.mark.parametrize("name", READERS)
def test_coverage_guided_fuzzing(name: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="pip install atheris")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, content in enumerate(CORPUS[name]):
        (corpus / str(number)).write_bytes(content)
    limits = ["-max_total_time=200", "-timeout=60", "-rss_limit_mb=4096", f"-artifact_prefix={tmp_path}/"]
    call = [sys.executable, str(Path(__file__).with_name("fuzzing.py")), name, *limits, str(corpus)]
    done = subprocess.run(call, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stderr[-5000:]
    print(f"\nfuzzing {name}: {done.stderr.strip().splitlines()[-1]}; nothing found")
