"""`sst-mergekit fisher` as a user meets it."""

import json

import pytest
import torch
from click.testing import CliRunner
from tiny import tiny_adapter, tiny_data, tiny_llama

from sst_mergekit.cli import main
from sst_mergekit.statistics.rows import prompt_hash
from sst_mergekit.statistics.store import open_statistics


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fisher")
    base = tiny_llama(folder / "base", 0)
    tiny_adapter(folder / "adapter", base, 1)
    tiny_data(folder / "data.jsonl")
    return folder


def fisher(world, out, *more, data="data.jsonl", model="base"):
    arguments = ["fisher", "--model", str(world / model), "--data", str(world / data), "--out", str(out)]
    return CliRunner().invoke(main, [*arguments, "--device", "cpu", "--quiet", *more])


@pytest.mark.parametrize("kind", ["kronecker", "activation", "diagonal"])
def test_measures_and_says_what(world, tmp_path, kind):
    result = fisher(world, tmp_path / "out", "--kind", kind)
    assert result.exit_code == 0, result.output
    assert f"{kind} statistics of 16 layers from 3 sequences, 12 response tokens" in result.output
    assert open_statistics(str(tmp_path / "out")).manifest.kind == kind


def test_options_reach_the_manifest(world, tmp_path):
    more = [
        "--labels",
        "sampled",
        "--seed",
        "7",
        "--samples",
        "2",
        "--dtype",
        "bfloat16",
        "--batch-size",
        "1",
        "--factors",
        "token",
    ]
    result = fisher(world, tmp_path / "out", *more, "--adapter", str(world / "adapter"))
    assert result.exit_code == 0, result.output
    manifest = open_statistics(str(tmp_path / "out")).manifest
    assert (manifest.labels, manifest.seed, manifest.dtype) == ("sampled", 7, "bfloat16")
    assert manifest.form["factors"] == "token"
    assert manifest.data["sequences"] == 2
    assert manifest.adapter["id"] == str(world / "adapter")


def test_bfloat16_models_are_summed_in_float32(world, tmp_path):
    assert fisher(world, tmp_path / "low", "--dtype", "bfloat16").exit_code == 0
    assert fisher(world, tmp_path / "high").exit_code == 0
    low, high = open_statistics(str(tmp_path / "low")), open_statistics(str(tmp_path / "high"))
    name = "model.layers.0.mlp.down_proj.weight"
    for slot in ("input", "output"):
        one, other = (s.tensors(s.find(name), (slot,))[slot] for s in (low, high))
        assert one.dtype == torch.float32
        assert (one - other).norm() < 0.05 * other.norm()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"data": "nowhere.jsonl"}, "nowhere.jsonl: no such file"),
        ({"model": "nowhere"}, "cannot be loaded"),
        ({"more": ["--prompt-field", "question"]}, "row 1: field 'question' is missing"),
        ({"more": ["--adapter", "nowhere"]}, "nowhere: the adapter cannot be loaded"),
        ({"more": ["--chat-template"]}, "its tokenizer has no chat template"),
        ({"more": ["--device", "cuda:9"]}, "--device cuda:9: not available here"),
        ({"more": ["--max-length", "2"]}, "--max-length"),
    ],
)
def test_faults_are_one_line_exit_2_and_leave_nothing(world, tmp_path, change, text):
    change = dict(change)
    result = fisher(world, tmp_path / "out", *change.pop("more", []), **change)
    assert result.exit_code == 2
    errors = [line for line in result.stderr.splitlines() if line.startswith("sst-mergekit: error: ")]
    assert len(errors) == 1
    assert text in errors[0]
    assert list(tmp_path.iterdir()) == []


def test_an_existing_directory_is_refused_before_the_model_is_loaded(world, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    result = fisher(world, tmp_path / "out", model="nowhere")
    assert result.exit_code == 2
    assert "exists; choose another place, or give --force" in result.stderr


def test_the_manifest_holds_the_hashes_of_its_prompts(world, tmp_path):
    assert fisher(world, tmp_path / "out").exit_code == 0
    rows = [json.loads(line) for line in (world / "data.jsonl").read_text().splitlines()]
    hashes = open_statistics(str(tmp_path / "out")).manifest.data["prompts"]
    assert hashes == sorted(prompt_hash(row["prompt"]) for row in rows)


def test_the_manifest_holds_no_text_of_the_data(world, tmp_path):
    assert fisher(world, tmp_path / "out").exit_code == 0
    text = (tmp_path / "out" / "manifest.json").read_text()
    rows = [json.loads(line) for line in (world / "data.jsonl").read_text().splitlines()]
    assert not any(row["prompt"] in text or row["response"] in text for row in rows)
