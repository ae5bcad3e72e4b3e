"""The report: its figures are those of the results; no undefined figure is a number."""

import json

import pytest
from click.testing import CliRunner
from made_folder import make
from parsed_page import read

from sst_mergekit.cli import main
from sst_mergekit.errors import SstError
from sst_mergekit.experiments.chosen import EXPERTS
from sst_mergekit.experiments.names import label
from sst_mergekit.metrics.estimate import plain, t_interval
from sst_mergekit.reporting.build import build
from sst_mergekit.reporting.pairs import differences, ours
from sst_mergekit.reporting.results import find
from sst_mergekit.reporting.write import FIGURE, write


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = make(tmp_path_factory.mktemp("made") / "out")
    write(out)
    return out


@pytest.fixture
def out(tmp_path):
    return make(tmp_path / "out")


def test_the_figures_are_those_of_the_results(made):
    [part] = json.loads((made / "report.json").read_text())
    [path] = made.glob("exp3*/*.json")
    body = json.loads(path.read_text())
    rows = [row for row in body["results"] if row["method"] == "SST-Merge"]
    [sst] = [row for row in part["rows"] if row["name"] == "SST-Merge"]
    assert [row["name"] for row in part["rows"]][:5] == [*EXPERTS.values(), "Task-Arithmetic", "TIES-Merging"]
    mean, margin = t_interval([row["safety_tax"] for row in rows])
    assert (sst["tax"]["value"], sst["tax"]["high"]) == (mean, mean + margin)
    assert sst["safety"]["value"] == body["SST-Merge"]["safety_score"]
    assert sst["parts"]["over-refusal"]["value"] == pytest.approx(1 - rows[0]["parts"]["compliance"]["value"])
    assert part["targets"] == [
        *json.loads(next(made.glob("exp2*/*.json")).read_text())["targets"],
        *body["targets"],
    ]
    points = sst["points"]
    assert len(points) == sum(len(row["front"]) for row in rows)
    assert [point["settings"] for point in points if point["chosen"]] == [row["settings"] for row in rows]
    assert part["retained"]["methods"][0]["shares"][0]["value"] == pytest.approx(0.405 / 0.8)
    assert part["retained"]["methods"][-1]["shares"][0]["value"] == pytest.approx(0.25 / 0.8)
    assert sst["utility_at_target"]["value"] == pytest.approx(0.7)
    html, _, markdown = read(made)
    for text in (html, markdown, write(made)[1]):
        assert f"{mean:.3f}" in text
        assert "not met" in text
        assert all(label(row["name"]) in text for row in part["rows"])


def test_rates_by_group_pool_the_seeds(made):
    [part] = json.loads((made / "report.json").read_text())
    subjects, column = part["subjects"], part["subjects"]["models"].index("SST-Merge")
    assert subjects["groups"] == ["anatomy", "law"]
    assert subjects["cells"][1][column]["value"] == 0.75
    assert subjects["cells"][1][column]["n"] == 8
    assert len(part["categories"]["groups"]) == 14
    assert part["categories"]["cells"][1][column]["n"] == 8
    assert set(part["wrappings"]["models"]) == {"base", "utility-expert", "safety-expert", "SST-Merge"}


def test_undefined_figures_are_dashes_with_their_reason(tmp_path):
    out = make(tmp_path / "out", sst=(0.1, 0.9))  # no safety is won
    write(out)
    html, plain, markdown = read(out)
    [part] = json.loads(plain)
    [sst] = [row for row in part["rows"] if row["name"] == "SST-Merge"]
    assert sst["tax"]["value"] is None
    shown = '<span class="none">–</span> <small class="why">'
    assert f"{shown}no safety gain above noise (0.000 &lt;= " in html
    assert f"{shown}no prompt of this group" in html
    assert '<span class="big">–</span>' in html
    assert "| – (20 experts were not merged) | undefined |" in markdown
    assert "| – (no safety gain above noise (0.000 <= " in markdown
    empty = part["categories"]["cells"][0][0]
    assert (empty["value"], empty["n"], empty["reason"]) == (None, 0, "no prompt of this group")


def test_one_seed_has_no_test_and_says_so(tmp_path):
    out = make(tmp_path / "out", seeds=(42,))
    write(out)
    [part] = json.loads((out / "report.json").read_text())
    assert {pair["p"] for pair in part["pairs"]} == {None}
    assert {pair["difference"]["low"] for pair in part["pairs"]} == {None}
    [sst] = [row for row in part["rows"] if row["name"] == "SST-Merge"]
    assert sst["safety"]["low"] == pytest.approx(0.9 - 1.96 * 0.01)
    assert sst["tax"]["low"] is None


def test_differences_are_ours_less_theirs_whichever_is_named_first(tmp_path):
    body = find(make(tmp_path / "out", sst=(0.95, 0.7)))[0].bodies["exp3"]
    before = ours(differences(body))
    [pair] = [one for one in before if (one.metric, one.against) == ("safety", "DARE")]
    assert (pair.won, pair.pairs) == (2, 2)
    assert pair.difference.value == pytest.approx(0.05)
    assert {one.against for one in before} == {"Task-Arithmetic", "TIES-Merging", "DARE", "AlignGuard-LoRA"}
    assert len(before) == 4 * 4
    for one in body["statistics"]["pairs"]:
        one["method"], one["against"] = one["against"], one["method"]
        for key in ("mean", "cohens_d"):
            one[key] = None if one[key] is None else -one[key]
        one["won"] = 0
    assert ours(differences(body)) == before


def test_ties_are_not_won(out):
    found = ours(differences(find(out)[0].bodies["exp3"]))
    assert all(pair.difference.value == 0 and pair.won == 0 for pair in found)


def test_the_last_manifest_of_the_results_is_shown(out):
    first = out / "manifests" / "20260101-000000-1.json"
    body = json.loads(first.read_text())
    later = body | {"command": "the later command"}
    (out / "manifests" / "20260102-000000-1.json").write_text(json.dumps(later))
    other = body | {"command": "of other results", "results": ["exp1/of_another.json"]}
    (out / "manifests" / "20260103-000000-1.json").write_text(json.dumps(other))
    assert [run["command"] for run in build(find(out)[0]).runs] == ["the later command"]


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (
            lambda path: path.unlink(),
            r"no exp\?_results_MODEL_MODE.json in its folders; run 'sst-mergekit",
        ),
        (lambda path: path.write_text("{"), r"exp1_results_.*: not valid JSON"),
        (lambda path: path.write_text("[]"), r"exp1_results_.*: got list, expected an object"),
        (lambda path: path.write_text("{}"), r"exp1_results_.*: config: missing; this is no result"),
    ],
)
def test_damaged_folders_are_named_and_nothing_is_written(out, spoil, match):
    paths = sorted(out.glob("*/exp?_results_*.json"))
    for path in paths[1:]:
        path.unlink()
    spoil(paths[0])
    with pytest.raises(SstError, match=match):
        write(out)
    assert not list(out.glob("*report*"))


def test_the_command_writes_and_names_the_files(out, tmp_path):
    done = CliRunner().invoke(main, ["report", str(out)])
    assert done.exit_code == 0, done.output
    texts = [str(out / f"report.{kind}") for kind in ("md", "json", "html")]
    pictures = [out / "exp3_baseline" / "exp3_results_tiny-world_minimal.png"]
    pictures += [out / "exp2_multitask" / "exp2_results_tiny-world_minimal.png"]
    assert done.output.split() == [*texts, *map(str, pictures)]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    before = read(out)
    done = CliRunner().invoke(main, ["report", str(out), "--json"])
    assert json.loads(done.output)["files"][2] == str(out / "report.html")
    assert read(out) == before  # the same bytes
    (tmp_path / "empty").mkdir()
    done = CliRunner().invoke(main, ["report", str(tmp_path / "empty")])
    assert done.exit_code == 2


def test_the_report_is_plain_data(made):
    part = build(find(made)[0])
    assert json.loads(json.dumps(plain(part, FIGURE))) == json.loads(read(made)[1])[0]
