"""What the README's section on security promises."""

from __future__ import annotations

import ast
import logging
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from nursery import Nursery
from torture_world import World, shrink

import sst_mergekit
from sst_mergekit.cli import main

PACKAGE = Path(sst_mergekit.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNSAFE_CALLS = {
    "eval",
    "exec",
    "os.system",
    "os.popen",
    "yaml.unsafe_load",
    "yaml.full_load",
    "torch.load",
    "torch.save",
}
RUNS_CODE = {
    PACKAGE / "evaluation" / "sandbox_child.py",  # generated programs, behind its walls
    PACKAGE / "testbeds" / "tiny" / "text.py",  # programs that the tiny world itself writes
}
TOKEN = "hf_" + "s3cr3t" * 6
TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OPENAI_API_KEY")


def calls(path: Path) -> list[ast.Call]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_is_unpickled_and_no_text_is_run(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not {name.split(".")[0] for name in names} & PICKLES, path
    for call in calls(path):
        name = ast.unparse(call.func)
        assert name not in UNSAFE_CALLS or path in RUNS_CODE, f"{path}:{call.lineno}: {name}"
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert given.get("allow_pickle", "False") == "False"
        assert given.get("shell", "False") == "False"
        if name == "yaml.load":
            assert "_UniqueKeys" in ast.unparse(call)  # a SafeLoader


def test_remote_code_is_trusted_by_the_flag_alone() -> None:
    values = {
        ast.unparse(keyword.value)
        for path in SOURCES
        for call in calls(path)
        for keyword in call.keywords
        if keyword.arg == "trust_remote_code"
    }
    assert values <= {"spec.trust_remote_code", "trust_remote_code", "False"}
    from sst_mergekit.statistics.loading import ModelSpec

    assert ModelSpec("m").trust_remote_code is False


def test_weights_are_safetensors_alone() -> None:
    loads = [call for path in SOURCES for call in calls(path) if "from_pretrained" in ast.unparse(call.func)]
    assert loads
    text = (PACKAGE / "statistics" / "loading.py").read_text()
    assert "use_safetensors=True" in text


def test_a_pickled_model_is_not_loaded(world: World, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for file in (world.root / "utility").iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    (model / "model.safetensors").unlink()
    ran = tmp_path / "ran"
    program = f"cos\nsystem\n(S'touch {ran}'\ntR."
    (model / "pytorch_model.bin").write_bytes(program.encode())
    words = [
        "fisher",
        "--model",
        str(model),
        "--data",
        f"{world.root}/data.jsonl",
        "--out",
        str(tmp_path / "out"),
    ]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2, result.output
    assert "cannot be loaded" in result.stderr
    assert not ran.exists()


@pytest.mark.parametrize("command", ["fisher", "lora", "card", "push"])
def test_tokens_are_in_no_log_and_no_file(command, world: World, monkeypatch, caplog) -> None:
    for name in TOKENS:
        monkeypatch.setenv(name, TOKEN)
    world.clear()
    words = world.words(command) if command != "card" else ["card", f"{world.root}/merged"]
    card = world.root / "merged" / "README.md"
    before = card.read_text()
    caplog.set_level(logging.DEBUG)
    try:
        result = CliRunner().invoke(main, words)  # of push, offline: an error, which must not tell it either
        assert result.exit_code == (2 if command in ("push", "card") else 0), result.output
        assert TOKEN not in result.output + caplog.text
        for path in world.root.rglob("*"):
            assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path
    finally:
        card.write_text(before)
        world.clear()


def with_tokens() -> None:
    """Set up a small experiment that logs all it can, with tokens in its environment."""
    import os

    os.environ.update(dict.fromkeys(TOKENS, TOKEN))
    logging.basicConfig(level=logging.DEBUG, force=True)
    logging.debug("all is logged")
    shrink()


def test_tokens_are_in_no_log_and_no_file_of_experiments(world: World, nursery: Nursery) -> None:
    world.clear()
    try:
        outcome = nursery.run(world.words("experiment"), world.place, setup="test_security:with_tokens")
        assert outcome.status == 0, outcome.log
        assert "DEBUG:root:all is logged" in outcome.log
        written = {path: path.read_bytes() for path in world.place.rglob("*") if path.is_file()}
        assert {"log.txt", "report.html", "table.json"} <= {path.name for path in written}
        assert any(path.parent.name == "manifests" for path in written)
        for path, content in written.items():
            assert TOKEN.encode() not in content, path
        assert TOKEN not in outcome.log
    finally:
        world.clear()


def test_a_link_in_statistics_does_not_lead_elsewhere_unseen(world: World, tmp_path: Path) -> None:
    import json

    from sst_mergekit.errors import StatisticsError
    from sst_mergekit.statistics.store import StatisticsStore

    copy = tmp_path / "statistics"
    copy.mkdir()
    for file in (world.root / "fisher-guard").iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    [shard] = copy.glob("*.safetensors")
    shard.unlink()
    shard.symlink_to(world.root / "base" / "model.safetensors")  # only what its hash names is read
    store = StatisticsStore(copy, "x")
    name, record = next(iter(store.manifest.layers.items()))
    with pytest.raises(StatisticsError, match="SHA-256|cannot read"):
        store.tensors(record, ("input",))
    body = json.loads((copy / "manifest.json").read_text())
    for place in ("../base/model.safetensors", "/etc/hostname", "a/../../b", "..", "c:\\x"):
        body["weight_map"] = dict.fromkeys(body["weight_map"], place)
        (copy / "manifest.json").write_text(json.dumps(body))
        with pytest.raises(StatisticsError, match="weight_map.*expected the name of a file"):
            StatisticsStore(copy, "x")


def test_no_archive_is_unpacked() -> None:
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\b(tarfile|zipfile|unpack_archive|extractall)\b", text), path


def test_generated_code_is_run_on_confirmation_alone() -> None:
    tasks = [path for path in (PACKAGE.parent / "lm_eval_tasks").rglob("*.yaml") if "humaneval" in path.name]
    assert tasks
    assert all("unsafe_code: true" in path.read_text() for path in tasks)  # lm-eval asks for the flag
