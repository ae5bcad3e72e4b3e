"""``sst-mergekit yaml``: a checked merge by mergekit's own command, whole or not at all."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import mergekit.scripts.run_yaml as run_yaml
import pytest
import torch
from click.testing import CliRunner, Result
from mergekit.options import MergeOptions
from safetensors.torch import load_file

from sst_mergekit.cli import main
from sst_mergekit.errors import StatisticsError


def merge(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["yaml", *arguments, "--quiet"])


def nothing_new(project: Path) -> bool:
    """Return whether the working directory holds no output, whole or partial."""
    return not any("out" in path.name for path in project.iterdir())


def models_sorted(card: str) -> str:
    """Return mergekit's card with its models sorted: it lists a set, whose order differs by process."""
    lines = card.splitlines(keepends=True)
    [first, *_, last] = [number for number, line in enumerate(lines) if line.startswith("* ")]
    return "".join([*lines[:first], *sorted(lines[first : last + 1]), *lines[last + 1 :]])


def test_merge_equals_mergekits_own(project: Path) -> None:
    result = merge("sst.yml", "out")
    assert result.exit_code == 0, result.output
    CliRunner().invoke(run_yaml.main, ["sst.yml", f"{project}/plain", "--quiet"], catch_exceptions=False)
    names = sorted(path.name for path in Path("plain").iterdir())
    assert sorted(path.name for path in Path("out").iterdir()) == names
    for name in set(names) - {"README.md"}:
        assert (project / "out" / name).read_bytes() == (project / "plain" / name).read_bytes()
    card = models_sorted((project / "plain" / "README.md").read_text())
    assert (project / "out" / "README.md").read_text() == card.replace("# plain\n", "# out\n")
    merged, utility = (load_file(f"{name}/model.safetensors") for name in ("out", "utility"))
    assert not torch.equal(merged["lm_head.weight"], utility["lm_head.weight"])
    assert torch.equal(merged["model.norm.weight"], utility["model.norm.weight"])
    assert sorted(path.name for path in project.iterdir() if path.name.startswith(".")) == []


def test_options_may_stand_anywhere(project: Path) -> None:
    result = merge("--lora-merge-cache", "cache", "lora.yml", "--no-write-model-card", "out", "-v")
    assert result.exit_code == 0, result.output
    assert not (project / "out" / "README.md").exists()
    assert any((project / "cache").iterdir())


def test_faulty_recipe_is_not_merged(project: Path) -> None:
    result = merge("bad.yml", "out")
    assert result.exit_code == 2
    assert [line.split(": ")[1] for line in result.stderr.splitlines()] == ["dtpye", "parameters.strenght"]
    assert nothing_new(project)
    assert merge("--no-check", "bad.yml", "out").exit_code == 0
    assert (project / "out" / "model.safetensors").exists()


def test_adapters_are_folded_into_a_temporary_cache(project: Path) -> None:
    before = {path.name for path in project.iterdir()}
    result = merge("lora.yml", "out")
    assert result.exit_code == 0, result.output
    assert "--lora-merge-cache" not in result.stderr
    assert {path.name for path in project.iterdir()} - before == {"out"}
    assert merge("lora.yml", "kept", "--lora-merge-cache=cache").exit_code == 0
    assert any((project / "cache").iterdir())
    for name in ("model.safetensors", "config.json"):
        assert (project / "out" / name).read_bytes() == (project / "kept" / name).read_bytes()
    assert merge("lora.yml", "again").exit_code == 0  # nothing refers to the cache that is gone


def test_failed_merge_leaves_no_temporary_cache(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folded = []

    def fail(*_: object, options: MergeOptions, **__: object) -> None:
        cache = Path(options.lora_merge_cache or "")
        (cache / "folded").mkdir()
        folded.append(cache)
        raise StatisticsError("too late")

    monkeypatch.setattr(run_yaml, "run_merge", fail)
    assert merge("lora.yml", "out").exit_code == 2
    assert folded[0].parent == project
    assert nothing_new(project)


def test_a_disk_that_is_full_at_the_tokenizer_ends_the_merge(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mergekit only logs what goes wrong there."""

    def copy(source: str, target: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", target)

    for name in ("tokenizer.json", "tokenizer_config.json"):
        Path("base", name).write_text("{}")
    monkeypatch.setattr("mergekit.merge.shutil.copy", copy)
    result = merge("sst.yml", "out")
    assert result.exit_code == 2
    assert "tokenizer_config.json: no space left on the disk" in result.stderr.splitlines()[-1]
    assert nothing_new(project)


def test_full_output_directory_needs_force(project: Path) -> None:
    kept = project / "out" / "kept.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    result = merge("sst.yml", "out")
    assert result.exit_code == 2
    assert "exists" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert kept.read_text() == "mine"
    assert merge("sst.yml", "out", "--force").exit_code == 0
    assert not kept.exists()
    assert (project / "out" / "model.safetensors").exists()


def test_empty_output_directory_is_used(project: Path) -> None:
    (project / "out").mkdir()
    assert merge("sst.yml", "out").exit_code == 0
    assert (project / "out" / "model.safetensors").exists()


def test_our_error_in_mergekits_graph_is_one_line(project: Path) -> None:
    shutil.rmtree("fisher-safety")
    result = merge("sst.yml", "out", "--no-check")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "fisher-safety: no such directory" in result.stderr
    assert nothing_new(project)


def test_our_error_wrapped_by_another_is_one_line(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        try:
            raise StatisticsError("the cause")
        except StatisticsError as error:
            raise RuntimeError("a worker failed") from error

    monkeypatch.setattr(run_yaml, "run_merge", fail)
    result = merge("sst.yml", "out")
    assert (result.exit_code, result.stderr) == (2, "sst-mergekit: error: the cause\n")
    assert nothing_new(project)


class Panic(BaseException):
    """As of tokenizers, which is no Exception."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("can't start new thread"),
        Panic("The global thread pool has not been initialized.: ThreadPoolBuildError { kind: IOError }"),
        SystemError("<function f at 0x7f0> returned NULL without setting an exception"),
    ],
    ids=["python", "thread", "panic", "frame"],
)
def test_lack_of_memory_is_one_line(
    error: BaseException, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(run_yaml, "run_merge", fail)
    result = merge("sst.yml", "out")
    line = "sst-mergekit: error: out of memory; ask for less at once, or use a machine with more\n"
    assert (result.exit_code, result.stderr) == (2, line)
    assert nothing_new(project)


FOREIGN = SystemError("<built-in function f> returned NULL without setting an exception")  # a bug, in C


@pytest.mark.parametrize("error", [RuntimeError("mergekit's own"), FOREIGN, KeyboardInterrupt()])
def test_failed_or_interrupted_merge_leaves_nothing(
    error: BaseException, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_config: object, out_path: str, **_: object) -> None:
        (Path(out_path) / "model.safetensors").write_text("half")
        raise error

    monkeypatch.setattr(run_yaml, "run_merge", fail)
    result = merge("sst.yml", "out")
    assert result.exit_code != 0
    if isinstance(error, Exception):
        assert result.exception is error  # keeps its traceback
    assert nothing_new(project)


def test_unknown_option_is_mergekits_usage_error(project: Path) -> None:
    result = merge("sst.yml", "out", "--cudda")
    assert result.exit_code == 2
    assert "No such option" in result.stderr
    assert nothing_new(project)


def test_help_says_where_mergekits_options_are() -> None:
    result = CliRunner().invoke(main, ["yaml", "-h"])
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    for part in ("'mergekit-yaml --help' describes them", "--no-check", "--force"):
        assert part in text
