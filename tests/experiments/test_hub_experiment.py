"""A model by its path, from downloaded data to results: really trained, merged and scored, offline."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from made_data import hub as stored
from tiny import tiny_llama
from transformers import AutoModelForCausalLM, AutoTokenizer

from sst_mergekit.cli import main
from sst_mergekit.errors import SstError
from sst_mergekit.evaluation.mmlu import doc_to_text
from sst_mergekit.experiments import interference
from sst_mergekit.experiments.config import load
from sst_mergekit.resources import recipes_path
from sst_mergekit.statistics.rows import Conversation
from sst_mergekit.statistics.tokens import tokenize
from sst_mergekit.testbeds.hub import download, subjects
from sst_mergekit.testbeds.hub import sizes as hub
from sst_mergekit.testbeds.tiny.facts import TaskSize
from sst_mergekit.training.lora import Options, trainer

TEMPLATE = "{% for m in messages %}{{ m.role + ' ' + m.content + ' ' }}{% endfor %}"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "cache"
    patch = pytest.MonkeyPatch()
    patch.setattr("datasets.load_dataset", stored)
    list(download.download(download.DATASETS, out, "30k"))
    patch.undo()
    return out


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny Llama with a chat template, trained for a moment so that it answers briefly and stops."""
    path = tiny_llama(tmp_path_factory.mktemp("model") / "base", 0)
    tokenizer = AutoTokenizer.from_pretrained(path)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(path)
    found = AutoModelForCausalLM.from_pretrained(path)
    asked = [Conversation((("user", f"w{n} w1 def"), ("assistant", "w4 w5 <eos>"))) for n in range(8)]
    rows = [tokenize(one, tokenizer, 64, True) for one in asked]
    trainer(found, rows, Options(steps=80, learning_rate=1e-2, progress=False), "cpu", path).fit()
    found.save_pretrained(path)
    return path


def config(path: Path, model: str, data: Path, **options) -> Path:
    body = yaml.safe_load((recipes_path() / "experiments" / "experiments.yml").read_text())
    sizes = {
        "beavertails": {"train_samples": 12, "eval_samples": 5, "batch_size": 4},
        "mmlu": {"subjects": ["anatomy"], "max_samples": 6, "batch_size": 3},
        "humaneval": {"max_samples": 2, "batch_size": 2},
    }
    body["datasets"] = {"cache_dir": str(data), "minimal": sizes, "full": sizes}
    body["models"] = {
        "local": {"full_name": model, "torch_dtype": "bfloat16", "use_flash_attention": True} | options
    }
    body["experiments"]["exp2_multitask"]["minimal"] = {"num_experts": [2]}
    body["experiments"]["exp3_baseline"]["minimal"] = {"methods": ["SST-Merge"], "budget": 4}
    path.write_text(yaml.safe_dump(body))
    return path


def experiment(config: Path, out: Path, *words: str):
    call = ["experiment", "--config", str(config), "--model", "local", "--seeds", "1", "--out", str(out)]
    return CliRunner().invoke(main, [*call, "--quiet", *words], catch_exceptions=False)


@pytest.mark.slow
def test_a_local_model_goes_from_data_to_results(data, model, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "TASK_SIZE", TaskSize(rows=4, steps=2, prompts=4, rate=1e-3, rank=2))
    some = {name: interference.METHODS[name] for name in ("sst", "knots")}
    monkeypatch.setattr(interference, "METHODS", some)
    path = config(tmp_path / "c.yml", str(model), data)
    done = experiment(path, tmp_path / "out", "--confirm-run-unsafe-code", "--batch-size", "5")
    assert done.exit_code == 0, done.output
    found = {p.name[:4]: json.loads(p.read_text()) for p in (tmp_path / "out").rglob("exp?_results_*.json")}
    assert set(found) == {"exp1", "exp2", "exp3"}
    one, three = found["exp1"], found["exp3"]
    assert (one["safety"]["total_samples"], one["utility"]["total_samples"]) == (5, 6)
    assert (one["utility"]["humaneval_samples"], one["utility"]["over_refusal_samples"]) == (2, 5)
    assert one["safety"]["jailbreak_samples"] == 5 * 8
    assert {row["method"] for row in three["results"]} >= {"base", "utility-expert", "SST-Merge"}
    assert {row["settings_tried"] for row in three["results"] if "settings_tried" in row} == {4}
    assert found["exp2"]["2"]["methods"]["KnOTS"]["performance"] is not None
    assert "### What is left when many experts are merged" in done.stdout
    units = tmp_path / "out" / "units"
    recipes = [yaml.safe_load(p.read_text()) for p in units.glob("score/*/result/recipe.yml")]
    assert {recipe["out_dtype"] for recipe in recipes} == {"bfloat16"}
    notes = [json.loads(p.read_text()) for p in units.glob("*/*/unit.json")]
    assert {n["inputs"]["loading"]["dtype"] for n in notes if "loading" in n["inputs"]} == {"bfloat16"}
    assert all(set(n["inputs"]["batch_sizes"].values()) == {5} for n in notes if "batch_sizes" in n["inputs"])
    dev = [n for n in notes if n["kind"] == "score" and n["inputs"]["split"] == "dev"]
    assert all("sst_humaneval" not in n["inputs"]["tasks"] for n in dev)  # too few to be divided
    trained = [json.loads(p.read_text()) for p in units.glob("train/*/result/training.json")]
    assert {note["rows"] for note in trained} == {12, 4}  # two experts; two subjects
    manifest = json.loads(next((tmp_path / "out" / "manifests").iterdir()).read_text())
    assert "--confirm-run-unsafe-code" in manifest["command"]
    assert done.stderr.count("flash attention needs a GPU; PyTorch's own attention is used") == 1
    again = experiment(path, tmp_path / "out", "--confirm-run-unsafe-code", "--batch-size", "5")
    assert again.stdout == done.stdout
    newest = max((tmp_path / "out" / "manifests").iterdir(), key=lambda p: p.stat().st_mtime)
    assert sum(phase["made"] for phase in json.loads(newest.read_text())["phases"]) == 0


@pytest.mark.parametrize(
    ("name", "options", "words", "line"),
    [
        (None, {}, (), "allow it by --confirm-run-unsafe-code, or take --experiment exp2"),
        (
            "/no/such/model",
            {},
            ("--experiment", "exp2"),
            "/no/such/model: neither a local directory nor a Hub",
        ),
        (
            None,
            {"device_map": "gpu"},
            ("--experiment", "exp2"),
            r"local.device_map: got 'gpu', expected auto",
        ),
        (None, {"device_map": "cuda:7"}, ("--experiment", "exp2"), "models.local.device_map: cuda:7: not"),
    ],
)
def test_what_cannot_be_honoured_is_one_line_and_nothing_is_made(
    data, model, tmp_path, name, options, words, line
):
    path = config(tmp_path / "c.yml", name or str(model), data, **options)
    done = experiment(path, tmp_path / "out", *words)
    assert done.exit_code == 2
    assert line in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_without_data_it_names_the_command(model, tmp_path):
    path = config(tmp_path / "c.yml", str(model), tmp_path / "none")
    done = experiment(path, tmp_path / "out", "--experiment", "exp2")
    assert done.exit_code == 2
    assert "get it by 'sst-mergekit data download --dataset beavertails --size 30k --out" in done.stderr
    with pytest.raises(SstError, match="--size 330k"):
        hub.worlds(load(path).models["local"], str(tmp_path), "full", range(1))


def test_a_checkpoint_without_safetensors_is_refused(data, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    done = experiment(
        config(tmp_path / "c.yml", str(tmp_path / "model"), data), tmp_path / "out", "--experiment", "exp2"
    )
    assert done.exit_code == 2
    assert "no *.safetensors in" in done.stderr


def test_experts_for_more_subjects_than_there_are_are_refused(data, tmp_path):
    inputs = {"data": str(data), "seed": 1, "tasks": 2, "rows": 4, "prompts": 40}
    with pytest.raises(SstError, match="2 experts need 2 subjects of MMLU with 88 questions each.* has 0"):
        subjects.make_tasks(inputs, {}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_subject_s_questions_are_divided_and_each_is_taught_or_asked_once(data, tmp_path):
    inputs = {"data": str(data), "seed": 1, "tasks": 2, "rows": 40, "prompts": 4}
    subjects.make_tasks(inputs, {}, tmp_path)
    names = json.loads((tmp_path / subjects.NAMES).read_text())
    assert names == {"task00": "anatomy", "task01": "astronomy"}
    for task, count in (("task00", 18), ("task01", 17)):
        lines = (tmp_path / f"train/{task}.jsonl").read_text().splitlines()
        prompts = [json.loads(line)["prompt"] for line in lines]
        for split in ("dev", "test"):
            asked = (tmp_path / split / task / "mmlu/test.jsonl").read_text().splitlines()
            assert len(asked) == 4
            prompts += [doc_to_text(json.loads(line)) for line in asked]
        assert len(prompts) == len(set(prompts)) == count
