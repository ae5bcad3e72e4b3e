"""`sst-mergekit sweep` on a recipe: really merged and scored, once each, and every fault in one line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from inline import Inline
from own_task import write_task
from sweep_world import sweep_world

from sst_mergekit.cli import main
from sst_mergekit.errors import RecipeError
from sst_mergekit.experiments.sweep_recipe import absolute, parameters_of, with_settings

SCORED = ["--tasks", "sst_beavertails_refusal,sst_mmlu_0shot", "--utility", "sst_mmlu_0shot:acc"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sweep_world(tmp_path_factory.mktemp("sweep"))


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sst_mergekit.jobs.cluster.workers", lambda *_, **__: Inline())


def sweep(*words: object) -> Result:
    return CliRunner().invoke(main, ["sweep", *map(str, words)])


@pytest.mark.slow
def test_each_setting_is_merged_and_scored_once(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [world / "recipe.yml", "--out", out, "--data-dir", world / "dev", "--samples", 2, *SCORED]
    first = sweep(*words, "--param", "strength=0,2", "--device", "cpu")
    assert first.exit_code == 0, first.output
    body = json.loads((out / "sweep.json").read_text())
    [(name, found)] = body["subjects"].items()
    assert (name, found["tried"]) == ("recipe", 2)
    assert [point["settings"] for point in found["points"]] == [{"strength": 0.0}, {"strength": 2.0}]
    assert {point["safety"]["n"] for point in found["points"]} == {2}
    assert body["metrics"]["utility"] == ["sst_mmlu_0shot:acc"]
    assert (out / "front.png").read_bytes().startswith(b"\x89PNG")
    scored = {path: path.stat().st_mtime_ns for path in out.glob("units/score/*/unit.json")}
    assert len(scored) == 2
    assert not list(out.glob("units/score/*/result/merged"))  # deleted
    strengths = {yaml.safe_load(p.read_text())["parameters"]["strength"] for p in out.rglob("recipe.yml")}
    assert strengths == {0.0, 2.0}
    again = sweep(*words, "--param", "strength=2,0", "--device", "cpu")  # nothing new
    assert again.exit_code == 0, again.output
    assert {path: path.stat().st_mtime_ns for path in out.glob("units/score/*/unit.json")} == scored
    assert json.loads((out / "sweep.json").read_text())["subjects"] == body["subjects"]


@pytest.mark.slow
def test_a_users_own_task_scores_a_sweep(world: Path, tmp_path: Path) -> None:
    write_task(tmp_path, "my_safety", 6)
    write_task(tmp_path, "my_skill", 6, 50)
    words = ["--include-path", tmp_path, "--tasks", "my_safety,my_skill", "--device", "cpu"]
    metrics = ["--safety", "my_safety:acc", "--utility", "my_skill:acc", "--param", "strength=0.5"]
    done = sweep(world / "recipe.yml", "--out", tmp_path / "out", *words, *metrics)
    assert done.exit_code == 0, done.output
    [found] = json.loads((tmp_path / "out" / "sweep.json").read_text())["subjects"].values()
    assert found["points"][0]["safety"]["n"] == 6


def test_settings_go_to_their_places(world: Path) -> None:
    path = world / "recipe.yml"
    body = yaml.safe_load(path.read_text())
    new = with_settings(path, body, {"strength": 0.5, "cost": 0.1, "models[1].parameters.role": "utility"})
    assert new["parameters"] == {"strength": 0.5, "on_missing": "keep", "cost": 0.1}
    assert new["models"][1]["parameters"]["role"] == "utility"
    assert body["models"][1]["parameters"]["role"] == "safety"  # the recipe stays as it was
    for place in ("models[2].parameters.role", "models[1].parameters.weight", "models[0].model[3]"):
        with pytest.raises(RecipeError, match=r"has no models\[.*; write the parameter there first"):
            with_settings(path, body, {place: 1.0})


def test_a_recipe_has_its_methods_parameters_and_its_places(world: Path) -> None:
    names = parameters_of(world / "recipe.yml")
    assert {"strength", "cost", "damping", "density", "filter", "models[1].parameters.role"} <= names
    assert "role" not in names  # of a model, not shared


def test_local_places_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("base", "adapter", "sst"):
        (tmp_path / name).mkdir()
    recipe = {
        "merge_method": "sst",
        "base_model": "base",
        "models": [{"model": "base+adapter"}, {"model": "a/b"}],
    }
    assert absolute(recipe) == {
        "merge_method": "sst",
        "base_model": f"{tmp_path}/base",
        "models": [{"model": f"{tmp_path}/base+{tmp_path}/adapter"}, {"model": "a/b"}],
    }


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["RECIPE", "--model", "tiny-world"], "sweep: give a RECIPE, or --model tiny-world"),
        ([], "sweep: give a RECIPE, or --model tiny-world"),
        (["RECIPE", "--methods", "sst"], "--methods: goes with --model tiny-world"),
        (["--model", "tiny-world", "--data-dir", "x"], "--data-dir: goes with a RECIPE"),
        (["RECIPE", "--budget", "3"], "--budget: a grid tries all"),
        (["RECIPE"], "--param: name at least one parameter"),
        (["RECIPE", "--param", "strenght=1,2"], "no parameter of recipe.yml (did you mean 'strength'?)"),
        (["RECIPE", "--param", "density=0.5,1.5"], "with density 1.5: parameters.density: "),
        (["RECIPE", "--param", "strength=0:1"], "a grid needs a COUNT"),
        (["RECIPE", "--param", "strength=0,1", "--data-dir", "none"], "--data-dir none: no such folder"),
        (["RECIPE", "--param", "strength=0,1", "--include-path", "no"], "--include-path no: no such folder"),
        (["none.yml", "--param", "strength=0,1"], "none.yml: cannot be read"),
        (["--model", "tiny-world", "--methods", "sts"], "--methods: unknown method 'sts'"),
        (["--model", "tiny-world", "--methods", "lora_training"], "lora_training is not a merge"),
        (
            ["--model", "tiny-world", "--methods", "ties,linear", "--param", "cost=0,1"],
            "--param cost: no parameter of ties, linear",
        ),
    ],
)
def test_every_fault_is_one_line(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    named = [str(world / "recipe.yml") if word == "RECIPE" else word for word in words]
    result = sweep(*named, "--out", "out")
    assert result.exit_code == 2
    assert line in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_optuna_missing_is_said(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    result = sweep(
        world / "recipe.yml", "--param", "strength=0,1", "--sampler", "tpe", "--out", tmp_path / "out"
    )
    assert result.exit_code == 2
    assert "pip install 'sst-mergekit[optuna]', or take grid or random" in result.stderr
