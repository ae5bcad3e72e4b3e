"""The command: its report as text, files and JSON, and the faults of its options."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from made_runs import samples, write_run

from sst_mergekit.cli import main

N = 40
SAFE = {"utility": 4, "merged": 30, "safety": 36}
SKILL = {"utility": 36, "merged": 34, "safety": 20}


@pytest.fixture
def runs(tmp_path):
    """Runs in which 30 of 40 harmful prompts are refused after merging, and two answers are lost."""
    for name in SAFE:
        skill = [float(i < SKILL[name]) for i in range(N)]
        refused = [float(i < SAFE[name]) for i in range(N)]
        tasks = {
            "sst_beavertails_refusal": samples(refusal_rate=refused),
            "sst_mmlu": samples(sources=[str(i % 10) for i in range(N)], acc=skill),
            "sst_over_refusal": samples(compliance_rate=skill, false_refusal_rate=[1 - x for x in skill]),
        }
        better = {task: {} for task in tasks} | {"sst_over_refusal": {"false_refusal_rate": False}}
        write_run(tmp_path / name, tasks, higher_is_better=better)
    return [str(tmp_path / name) for name in SAFE]


def invoke(*arguments):
    return CliRunner().invoke(main, ["compare", "--resamples", "200", *map(str, arguments)])


def test_the_report_is_printed(runs):
    done = invoke(*runs, "--task", "sst_mmlu", "--cluster", "source")
    assert done.exit_code == 0, done.output
    assert "n = 40 prompts from 10 sources; few sources: intervals and p are too bold" in done.output
    assert "| merged | 0.850" in done.output
    assert "| safety − merged | -0.350" in done.output
    assert "Holm: over all 3 tests" in done.output


def test_the_folder_holds_markdown_json_and_a_picture(runs, tmp_path):
    arguments = (*runs, "--utility-expert", "utility", "--safety-expert", "safety", "--out", tmp_path / "out")
    done = invoke(*arguments)
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "compare.json",
        "compare.md",
        "compare.png",
    ]
    assert (tmp_path / "out/compare.png").read_bytes().startswith(b"\x89PNG")
    body = json.loads((tmp_path / "out/compare.json").read_text())
    refusal = body["metrics"][0]
    assert (refusal["task"], refusal["n"]) == ("sst_beavertails_refusal", N)
    assert refusal["pairs"][0]["difference"]["value"] == pytest.approx(26 / N)
    assert refusal["pairs"][0]["p"] == pytest.approx(2 * 0.5**26)
    merged = body["safety_tax"]["runs"][0]
    assert merged["tax"]["value"] == pytest.approx(2 / 26)
    assert body["safety_tax"]["utility_metrics"] == ["sst_mmlu:acc", "sst_over_refusal:compliance_rate"]
    text = (tmp_path / "out/compare.md").read_text()
    assert text.splitlines()[2].startswith("`sst-mergekit compare ")
    assert "| merged | 0.750 | 0.850 | +0.650 [" in text
    assert "Highest utility at 0.9 of the safety of 'safety': no run is as safe." in text
    again = invoke(*arguments)
    assert again.exit_code == 2
    assert "exists" in again.output
    assert invoke(*arguments, "--force").exit_code == 0


def test_the_same_seed_gives_the_same_figures(runs, tmp_path):
    bodies = []
    for seed in (1, 1, 2):
        out = tmp_path / f"out{len(bodies)}"
        invoke(*runs, "--seed", seed, "--out", out)
        bodies.append(json.loads((out / "compare.json").read_text())["metrics"])
    assert bodies[0] == bodies[1] != bodies[2]


def test_parts_of_safety_and_utility_can_be_named(runs):
    done = invoke(*runs, "--utility-expert", "utility", "--utility", "sst_mmlu:acc")
    assert "Utility U: mean of sst_mmlu:acc." in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--safety", "sst_mmlu:acc"], "--safety: only with --utility-expert"),
        (
            ["--utility-expert", "utilty"],
            "--utility-expert utilty: is none of the runs (did you mean 'utility'?)",
        ),
        (["--utility-expert", "utility", "--utility", "acc"], "--utility acc: expected TASK:METRIC"),
        (
            ["--utility-expert", "utility", "--task", "sst_mmlu"],
            "--safety: the runs have none of sst_beavertails",
        ),
        (
            ["--utility-expert", "utility", "--utility", "sst_over_refusal:false_refusal_rate"],
            "lower is better; name a metric of which higher is better",
        ),
        (
            ["--utility-expert", "utility", "--utility", "sst_mmlu:accc"],
            "sst_mmlu: run 'utility' has no metric 'accc' (did you mean 'acc'?)",
        ),
    ],
)
def test_faults_of_the_options_are_one_line(runs, arguments, message):
    done = invoke(*runs, *arguments)
    assert done.exit_code == 2
    assert message in done.output
    assert len(done.output.strip().splitlines()) == 1


def test_allowed_differences_are_printed(runs, tmp_path):
    other = write_run(tmp_path / "other", {"sst_mmlu": samples(acc=[1.0] * 4)}, versions={"sst_mmlu": 2.0})
    like = write_run(tmp_path / "like", {"sst_mmlu": samples(acc=[1.0] * 4)})
    done = invoke(other, like, "--allow-different-settings")
    assert "warning: different settings: sst_mmlu: task version: 'other' 2.0, 'like' 1.0" in done.stderr
    assert "**Different settings, as allowed:** sst_mmlu: task version" in done.stdout
    assert invoke(other, like).exit_code == 2
