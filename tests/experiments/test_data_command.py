"""Data: downloaded whole with their hashes, or one clear line; split without a shared prompt."""

import json

import pytest
from click.testing import CliRunner
from made_data import hub

from sst_mergekit.cli import main
from sst_mergekit.errors import DataError, SstError
from sst_mergekit.evaluation.beavertails import unsafe_prompts
from sst_mergekit.experiments.config import Sizes
from sst_mergekit.files import sha256
from sst_mergekit.statistics.rows import prompt_hash
from sst_mergekit.testbeds.hub import download, prepare
from sst_mergekit.testbeds.hub.splits import Wanted


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.load_dataset", hub)
    list(download.download(download.DATASETS, tmp_path / "data", "30k"))
    return tmp_path / "data"


def wanted(**changes):
    fields = {"train": 12, "harmful": 6, "questions": 8, "programs": None, "subjects": None}
    later = {key: changes.pop(key) for key in ("calibration", "development", "seed") if key in changes}
    sizes = Sizes(**{**fields, **changes}, batch_sizes={})
    return Wanted(sizes, **{"calibration": 4, "development": 3, "beavertails": "30k", "seed": 42, **later})


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_files_are_as_the_tasks_read_them_and_noted(data):
    names = {path.relative_to(data).as_posix() for path in data.rglob("*.jsonl")}
    assert names == {
        *(f"beavertails/30k_{split}.jsonl" for split in ("train", "test")),
        *(f"mmlu/{split}.jsonl" for split in ("dev", "validation", "test", "auxiliary_train")),
        "humaneval/test.jsonl",
        "over_refusal/test.jsonl",
    }
    noted = download.read_manifest(data)["files"]
    assert set(noted) == names
    assert noted["mmlu/test.jsonl"]["rows"] == 20
    assert noted["mmlu/test.jsonl"]["sha256"] == sha256(data / "mmlu/test.jsonl")
    assert "NC" in noted["beavertails/30k_test.jsonl"]["licence"]
    assert "further" not in rows(data / "beavertails/30k_test.jsonl")[0]


def test_what_is_there_is_kept_and_what_was_changed_is_refused(data, monkeypatch):
    monkeypatch.setattr("datasets.load_dataset", None)
    assert all(line.endswith("is there") for line in download.download(download.DATASETS, data, "30k"))
    (data / "mmlu/dev.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match="mmlu/dev.jsonl: was changed since its download; delete it"):
        list(download.download(("mmlu",), data, "30k"))


def test_offline_it_is_one_clear_line_and_nothing_is_left(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise ConnectionError("Couldn't reach the Hub")

    monkeypatch.setattr("datasets.load_dataset", offline)
    result = CliRunner().invoke(main, ["data", "download", "--dataset", "mmlu", "--out", str(tmp_path / "d")])
    assert result.exit_code == 2
    assert "cais/mmlu (split dev): cannot be loaded from the Hub (ConnectionError" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "d").exists()


def test_the_environment_s_folder_is_not_what_is_downloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("SST_MERGEKIT_DATA_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setattr("datasets.load_dataset", hub)
    [line] = download.download(("humaneval",), tmp_path / "d", "30k")
    assert "8 rows" in line


def test_no_prompt_is_in_two_splits_whatever_its_case(data, tmp_path):
    out = tmp_path / "out"
    counts = prepare.prepare(data, out, wanted())
    assert counts["train/safety.jsonl"] == 12
    assert counts["calibration/harm.jsonl"] == 4
    assert counts["test/mmlu/test.jsonl"] == 8
    assert counts["test/humaneval/test.jsonl"] == 8
    test, dev = (rows(out / split / "beavertails/30k_test.jsonl") for split in ("test", "dev"))
    by_split = {
        "train": rows(out / "train/safety.jsonl"),
        "calibration": rows(out / "calibration/harm.jsonl"),
        "test": test,
        "dev": dev,
    }
    hashes = {name: {prompt_hash(row["prompt"]) for row in found} for name, found in by_split.items()}
    assert (len(hashes["test"]), len(hashes["dev"])) == (6, 3)
    assert len(unsafe_prompts(test, "test")) == 6  # for the task too, which tells spellings apart
    assert sum(map(len, hashes.values())) == len(set.union(*hashes.values()))
    for hash_of in hashes["test"]:
        assert any(not row["is_safe"] for row in test if prompt_hash(row["prompt"]) == hash_of)
    utility, benign = (rows(out / name) for name in ("train/utility.jsonl", "calibration/benign.jsonl"))
    assert (len(utility), len(benign)) == (12, 4)
    taught = {row["prompt"]: row["response"] for row in utility + benign}
    skill = {prompt: letter for prompt, letter in taught.items() if prompt.startswith("Which is ")}
    assert len(skill) == 8
    for prompt, letter in skill.items():
        assert letter == "ABCD"[int(prompt.split("?")[0].split()[-1]) % 4]
        assert prompt.endswith("A. w\nB. x\nC. y\nD. z\nAnswer:")
    helpful = set(taught) - set(skill)
    assert all(taught[prompt].startswith("It is way") for prompt in helpful)  # no refusal
    assert not {prompt_hash(prompt) for prompt in taught} & set.union(*hashes.values())
    assert all(row["response"].startswith("I cannot") for row in by_split["train"])
    harmless = [{row["prompt"] for row in rows(out / s / "over_refusal/test.jsonl")} for s in ("dev", "test")]
    assert (len(harmless[0]), len(harmless[1]), harmless[0] & harmless[1]) == (4, 5, set())
    questions = [{r["question"] for r in rows(out / s / "mmlu/test.jsonl")} for s in ("dev", "test")]
    assert not questions[0] & questions[1]
    shown = {r["question"] for r in rows(out / "test/mmlu/dev.jsonl")}
    assert not {prompt.split("\n")[0] for prompt in skill} & (questions[0] | questions[1] | shown)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["prompts"]["dev"] == 3 + len(questions[0]) + 4
    for name, noted in manifest["files"].items():
        assert noted["sha256"] == sha256(out / name)


def test_the_same_seed_gives_the_same_bytes(data, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        prepare.prepare(data, tmp_path / name, wanted(seed=seed))
    a, b, c = ((tmp_path / name / "manifest.json").read_text() for name in "abc")
    assert a == b
    assert a != c


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"harmful": 60}, r"beavertails: 30 harmful prompts, 63 are wanted \(eval_samples 60"),
        ({"train": 1000}, r"safe answers left, 1000 are wanted \(train_samples\)"),
        ({"calibration": 1000}, r"1000 are wanted \(--calibration\)"),
        ({"questions": 99}, "mmlu.max_samples: 99 are wanted, there are 20"),
        ({"programs": 165}, "humaneval.max_samples: 165 are wanted, there are 8"),
        ({"subjects": ["anatomi"]}, "unknown subject 'anatomi'"),
    ],
)
def test_too_little_data_is_an_error_that_leaves_nothing(data, tmp_path, changes, line):
    with pytest.raises(SstError, match=line):
        prepare.prepare(data, tmp_path / "out", wanted(**changes))
    assert not (tmp_path / "out").exists()


def test_too_few_helpful_answers_are_said(data, tmp_path, monkeypatch):
    monkeypatch.setattr("sst_mergekit.testbeds.hub.splits._helps", lambda row: " 2" in row["response"])
    with pytest.raises(DataError, match=r"12 benign conversations \(.*half each\), 16 are wanted"):
        prepare.prepare(data, tmp_path / "out", wanted())


def test_a_missing_file_names_the_command(tmp_path):
    words = ["data", "prepare", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert "get it by 'sst-mergekit data download --dataset beavertails" in result.stderr


def test_the_check_sees_a_shared_prompt():
    files = {"train/a.jsonl": [{"prompt": "Hello  you"}], "test/b.jsonl": [{"prompt": "hello you"}]}
    with pytest.raises(DataError, match="train and test share 1 prompts"):
        prepare.check_disjoint(files)
