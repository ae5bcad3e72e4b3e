"""What is asked: nothing seen before, as many as wanted, by a seed."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from small_tasks import GNOME, GOAT, POEM, write_jsonl

from sst_mergekit.errors import DataError, EvaluationError
from sst_mergekit.evaluation import beavertails
from sst_mergekit.evaluation.harness import load_tasks
from sst_mergekit.evaluation.selection import select
from sst_mergekit.statistics.manifest import FORMAT, VERSION, Manifest
from sst_mergekit.statistics.rows import Conversation, prompt_hash, prompt_hashes

TASK = "sst_jbb_benign"
ROWS = [{"prompt": f"Question {number}?"} for number in range(50)]


def numbers(**metadata: Any) -> list[int]:
    return [ROWS.index(row) for row in select(TASK, ROWS, metadata)]


def write_manifest(directory: Path, **data: Any) -> Path:
    empty = {"layers": {}, "skipped": {}, "weight_map": {}, "files": {}, "versions": {}, "form": {}}
    about = {"kind": "kronecker", "model": {}, "adapter": None, "labels": "given", "seed": 0, "dtype": "x"}
    manifest = Manifest(data=data, **about, **empty)
    directory.mkdir()
    (directory / "manifest.json").write_text(manifest.to_json())
    assert json.loads(manifest.to_json())["format"] == FORMAT
    assert VERSION == 3  # prompt hashes were added without a new format
    return directory


def test_nothing_said_asks_everything() -> None:
    assert numbers() == numbers(samples=None) == numbers(samples={"sst_mmlu": 3}) == list(range(50))
    assert numbers(samples=50) == list(range(50))


def test_samples_are_drawn_by_the_seed_and_keep_their_order() -> None:
    one = numbers(samples=20)
    assert one == numbers(samples=20, sample_seed=0) == numbers(samples={TASK: 20}) == sorted(set(one))
    assert len(one) == 20
    assert one != numbers(samples=20, sample_seed=1)
    assert one != list(range(20))


def test_a_default_size_gives_way_to_samples_and_to_fewer_rows() -> None:
    assert len(numbers(default_samples=10)) == 10
    assert len(numbers(default_samples=10, samples=20)) == 20
    assert len(numbers(default_samples=100)) == 50


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"samples": 0}, "metadata.samples: got 0, expected a whole number >= 1"),
        ({"samples": 2.5}, "metadata.samples: got 2.5"),
        ({"samples": True}, "metadata.samples: got True"),
        ({"samples": {TASK: "3"}}, "metadata.samples.sst_jbb_benign: got '3'"),
        ({"samples": {"sst_mmul": 3}}, r"unknown task 'sst_mmul' \(did you mean 'sst_mmlu'"),
        ({"sample_seed": -1}, "metadata.sample_seed: got -1, expected a whole number >= 0"),
        ({"seen": "a.jsonl"}, "metadata.seen: got 'a.jsonl', expected a list of paths"),
        ({"seen": [1]}, r"metadata.seen: got \[1\]"),
    ],
)
def test_wrong_requests_are_named(metadata: dict, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        numbers(**metadata)


def test_more_than_there_are_is_an_error_and_not_fewer() -> None:
    with pytest.raises(
        DataError, match=r"sst_jbb_benign has 50 prompts, 51 are wanted.*\"sst_jbb_benign\": 50"
    ):
        numbers(samples=51)


def test_what_is_dropped_and_drawn_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_jsonl(tmp_path / "seen.jsonl", ROWS[:5])
    with caplog.at_level(logging.WARNING):
        chosen = numbers(seen=[str(tmp_path / "seen.jsonl")], samples=30)
    assert min(chosen) >= 5
    assert caplog.messages == [
        "sst_jbb_benign: 5 of 50 prompts dropped as seen; asking 30 of 45 (sample_seed 0)"
    ]
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        numbers(seen=[str(tmp_path / "seen.jsonl")])
    assert "5 of 50 prompts dropped as seen; asking 45 of 45" in caplog.text


def test_nothing_is_said_when_all_are_asked(caplog: pytest.LogCaptureFixture) -> None:
    numbers()
    assert caplog.messages == []


def test_prompts_of_manifests_and_training_files_are_dropped(small_data: Path, tmp_path: Path) -> None:
    calibration = write_manifest(tmp_path / "fisher", prompts=[prompt_hash(GNOME)])
    chat = [{"role": "system", "content": POEM}, {"role": "user", "content": f"  {GOAT.upper()}\n"}]
    write_jsonl(tmp_path / "train.jsonl", [{"messages": chat}, {"prompt": "something else"}])
    metadata = {"seen": [str(calibration), str(tmp_path / "train.jsonl")]}
    tasks = load_tasks("sst_beavertails_refusal", data_dir=small_data, metadata=metadata)["tasks"]
    asked = tasks["sst_beavertails_refusal"].dataset["test"]["prompt"]
    assert set(asked) == set(beavertails.load(data_dir=str(small_data))["test"]["prompt"]) - {GNOME, GOAT}
    by_file = beavertails.load(data_dir=str(small_data), seen=[str(calibration / "manifest.json")])["test"]
    assert GNOME not in by_file["prompt"]
    assert len(by_file) == 3


def test_all_seen_leaves_nothing_to_ask(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "seen.jsonl", ROWS)
    with pytest.raises(DataError, match="all 50 prompts are among those of metadata.seen"):
        numbers(seen=[str(tmp_path / "seen.jsonl")])


def test_what_cannot_be_read_as_seen_is_named(tmp_path: Path) -> None:
    bare = write_manifest(tmp_path / "bare", location="train.csv")
    (tmp_path / "a.csv").write_text("prompt\n")
    write_jsonl(tmp_path / "bad.jsonl", [{"prompt": "a"}, {"question": "b"}])
    for name, message in (
        ("nowhere", "metadata.seen: .*nowhere: no such file or directory"),
        (
            bare,
            r"manifest\.json: holds no hashes of prompts; measure again, or .*train\.csv",
        ),
        ("a.csv", r"a\.csv: expected a directory of 'sst-mergekit fisher', its manifest\.json, or a \.jsonl"),
        ("bad.jsonl", r"bad\.jsonl:2: neither a 'prompt' nor 'messages' in this row"),
    ):
        with pytest.raises(DataError, match=message):
            numbers(seen=[str(tmp_path / name)])


def test_a_hash_forgets_case_width_and_blanks_only() -> None:
    assert prompt_hash("Who are\n you? ") == prompt_hash("ＷＨＯ are you?")
    assert prompt_hash("Who are you?") != prompt_hash("Who are you")
    assert len(prompt_hash("")) == 16


def test_hashes_are_of_what_users_say_once_each() -> None:
    turns = (("system", "s"), ("user", "b"), ("assistant", "x"), ("user", "a"), ("assistant", "y"))
    conversations = [Conversation(turns), Conversation((("user", "A"), ("assistant", "z")))]
    assert prompt_hashes(conversations) == sorted([prompt_hash("a"), prompt_hash("b")])
