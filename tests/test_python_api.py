"""The public names: loaded when used, what the command calls, typed, and shown by a session that runs."""

from __future__ import annotations

import ast
import doctest
import importlib
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import tiny_data, tiny_llama, tiny_statistics

import sst_mergekit
from sst_mergekit.errors import RecipeError

SOURCE = Path(sst_mergekit.__file__).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sst_mergekit.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(sst_mergekit, name) is not None
    assert name in dir(sst_mergekit)


def test_what_type_checkers_see_is_what_is_loaded() -> None:
    seen = {}
    for node in ast.walk(ast.parse(SOURCE)):
        if isinstance(node, ast.ImportFrom) and node.col_offset == 4 and node.lineno < 60:
            for alias in node.names:
                seen[alias.asname] = node.module + (f":{alias.name}" if alias.name != alias.asname else "")
    assert seen == sst_mergekit._LOADED_FROM
    assert set(seen) | {"__version__", "register"} == set(sst_mergekit.__all__)
    assert Path(sst_mergekit.__file__).with_name("py.typed").is_file()


def test_importing_the_package_loads_nothing() -> None:
    code = "import sys; before = set(sys.modules); import sst_mergekit; print(*set(sys.modules) - before)"
    line = [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["sst_mergekit"]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'merg'"):
        sst_mergekit.merg  # noqa: B018


@pytest.mark.parametrize(
    ("command", "name"),
    [("fisher", "estimate"), ("compare", "compare"), ("lora", "merge_adapters"), ("yaml", "merge")],
)
def test_the_command_calls_it(command: str, name: str) -> None:
    module = importlib.import_module(f"sst_mergekit.cli.{command}")
    text = Path(str(module.__file__)).read_text(encoding="utf-8")
    home = getattr(sst_mergekit, name).__module__
    imported = [
        node.module
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}
    ]
    assert imported in ([home], ["sst_mergekit"])


def write_rows(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory: two tiny models with their data, MMLU rows, and a logged run of each."""
    monkeypatch.syspath_prepend(Path(__file__).parent / "comparison")
    from made_runs import samples, write_run

    for seed, name in enumerate(("base", "utility", "safety")):
        tiny_llama(tmp_path / name, seed)
        tiny_data(tmp_path / f"{name}.jsonl")
        write_run(tmp_path / "runs" / name, {"sst_mmlu": samples(acc=[1.0, float(seed == 1), 0.0, 1.0])})
    tiny_statistics(tmp_path / "fisher-safety", tmp_path / "safety", tmp_path / "safety.jsonl")
    models = [
        {"model": f"./{name}", "parameters": {"role": name, "fisher": f"./fisher-{name}"}}
        for name in ("utility", "safety")
    ]
    recipe = {"merge_method": "sst", "base_model": "./base", "models": models, "dtype": "float32"}
    (tmp_path / "recipe.yml").write_text(json.dumps(recipe), encoding="utf-8")
    rows = [{"question": f"w{n}", "subject": "words", "choices": ["a", "b", "c", "d"]} for n in range(4)]
    for split in ("test", "dev"):
        write_rows(tmp_path / f"data/mmlu/{split}.jsonl", [row | {"answer": 1} for row in rows])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_session_in_the_packages_docstring_holds(folder: Path) -> None:
    failed, tried = doctest.testmod(sst_mergekit, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert (failed, tried > 5) == (0, True)


def test_a_faulty_recipe_is_refused_and_its_warnings_are_logged(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = json.loads(Path("recipe.yml").read_text())
    Path("bad.yml").write_text(json.dumps(recipe | {"dtype": "bfloat16", "dtpye": 1}))
    with caplog.at_level(logging.WARNING), pytest.raises(RecipeError, match="^dtpye: "):
        sst_mergekit.merge("bad.yml", folder / "out")
    assert "dtype: got bfloat16" in caplog.text
    assert not Path("out").exists()
