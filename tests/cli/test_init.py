"""``sst-mergekit init``: what it writes passes the check, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from sst_mergekit.cli import main
from sst_mergekit.core.settings import FILTERS
from sst_mergekit.recipe.draft import METHODS


def init(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["init", "--base", "./base", *arguments])


FULL = ("--utility", "./utility", "--safety", "./safety")
FISHER = ("--fisher-utility", "./fisher-utility", "--fisher-safety", "./fisher-safety")


def checked(path: str = "recipe.yml") -> list[str]:
    result = CliRunner().invoke(main, ["check", path, "--lora-merge-cache", "cache"])
    assert result.exit_code == 0, result.output
    return result.stderr.splitlines()


def written(path: str = "recipe.yml") -> dict:
    return yaml.safe_load(Path(path).read_text(encoding="utf-8"))


def test_a_recipe_of_full_models_passes_the_check(project: Path) -> None:
    result = init(*FULL, *FISHER)
    assert result.exit_code == 0, result.output
    assert result.stdout == "recipe.yml: sst\n"
    assert result.stderr == "next: sst-mergekit check recipe.yml\n"
    assert checked() == []
    assert written()["parameters"]["on_missing"] == "keep"
    text = Path("recipe.yml").read_text()
    assert all("#" in line for line in text.splitlines() if line.strip().startswith(("strength", "cost")))


@pytest.mark.parametrize("method", [name for name in METHODS if name != "sst"])
def test_every_other_method_passes_the_check(method: str, project: Path) -> None:
    assert init(*FULL, "--method", method, "--strength", "0.6").exit_code == 0
    assert checked() == []
    assert written()["models"][1]["parameters"]["weight"] == 0.6


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_passes_the_check(name: str, project: Path) -> None:
    fisher = () if name == "data_free" else FISHER
    assert init(*FULL, *fisher, "--filter", name).exit_code == 0
    assert checked() == []
    assert written()["parameters"]["filter"] == name


def test_an_adapters_folder_becomes_base_and_adapter(project: Path) -> None:
    safety = ("--safety", "guard", "--fisher-safety", "fisher-guard")
    assert init("--utility", "./utility", "--fisher-utility", "fisher-utility", *safety).exit_code == 0
    assert written()["models"][1]["model"] == "./base+./guard"
    assert checked() == []
    twice = ("--utility", "./base+./guard", "--fisher-utility", "fisher-guard")
    assert init(*twice, *safety, "--out", "new/lora.yml").exit_code == 0
    assert "sst-mergekit lora new/lora.yml" in Path("new/lora.yml").read_text()
    assert "on_missing" not in written("new/lora.yml")["parameters"]


def test_several_experts_keep_their_order(project: Path) -> None:
    more = ("--safety", "./base+./guard", "--fisher-safety", "./fisher-guard")
    assert init(*FULL, *FISHER, *more).exit_code == 0
    models = [(one["parameters"]["role"], one["parameters"]["fisher"]) for one in written()["models"]]
    assert models == [
        ("utility", "./fisher-utility"),
        ("safety", "./fisher-safety"),
        ("safety", "./fisher-guard"),
    ]
    assert checked() == []


def test_the_geometry_is_that_of_the_statistics(project: Path) -> None:
    for name in ("utility", "safety"):
        line = ["fisher", "--model", name, "--data", "data.jsonl", "--kind", "diagonal", "--out", f"d-{name}"]
        assert CliRunner().invoke(main, line).exit_code == 0
    assert init(*FULL, "--fisher-utility", "d-utility", "--fisher-safety", "d-safety").exit_code == 0
    assert written()["parameters"]["geometry"] == "diagonal"
    assert checked() == []
    mixed = init(*FULL, "--fisher-utility", "d-utility", "--fisher-safety", "fisher-safety", "--force")
    assert "of different kinds" in mixed.stderr


def test_names_that_yaml_would_misread_are_quoted(project: Path) -> None:
    Path("safety").rename("safe: #1")
    assert init("--utility", "./utility", "--safety", "./safe: #1", *FISHER).exit_code == 0
    assert written()["models"][1]["model"] == "./safe: #1"


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (
            (*FULL, "--fisher-utility", "./fisher-utility"),
            "--fisher-safety: got 0 for 1 --safety; give the statistics",
        ),
        ((*FULL, *FISHER, "--method", "ties"), "--fisher-utility, --fisher-safety: only for --method sst"),
        ((*FULL, "--method", "ties", "--cost", "1"), "--cost: only for --method sst, got --method ties"),
        ((*FULL, *FISHER, "--density", "0.5"), "--density: only for --method ties, dare_ties"),
        ((*FULL, *FISHER, "--strength", "-1"), "-1.0 is not in the range x>=0"),
        ((*FULL, *FISHER, "--out", "base"), "base: exists; choose another --out"),
    ],
)
def test_faults_are_told_and_nothing_is_written(arguments: tuple, match: str, project: Path) -> None:
    before = {path.name for path in project.iterdir()}
    result = init(*arguments)
    assert result.exit_code == 2
    assert match in result.stderr
    assert {path.name for path in project.iterdir()} == before


def test_a_recipe_that_is_there_is_replaced_by_force_alone(project: Path) -> None:
    Path("recipe.yml").write_text("mine")
    assert "recipe.yml: exists" in init(*FULL, *FISHER).stderr
    assert Path("recipe.yml").read_text() == "mine"
    assert init(*FULL, *FISHER, "--force").exit_code == 0
    assert written()["merge_method"] == "sst"
    assert not list(project.glob(".recipe*"))
