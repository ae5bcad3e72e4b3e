"""Counting demos together: pairs by world and seed, the bar, and what cannot be counted."""

import json

import pytest
from click.testing import CliRunner

from sst_mergekit.cli import main
from sst_mergekit.errors import DataError, SstError
from sst_mergekit.experiments.demo import world_of
from sst_mergekit.experiments.names import long
from sst_mergekit.experiments.trials import TRAINED
from sst_mergekit.experiments.writing import RESULTS, write_json
from sst_mergekit.reporting.curve import curves
from sst_mergekit.reporting.tally import read, tally, verdict

METHODS = ("task_arithmetic", "ties", "sst", "sst_shuffled", TRAINED)


def report(tmp_path, name, command, seeds, **figures):
    """A finished demo: every method at hypervolume .8 and tax .1, but for `figures` {method: (area, tax)}."""
    about = {"experiment": "demo", "model": "tiny-world", "mode": world_of(command), "command": command}
    body = {"config": about, "results": [{"method": "base", "seed": seed} for seed in seeds]}
    for seed in seeds:
        wobble = 0.001 * (seed % 3)
        for method, (area, tax) in (dict.fromkeys(METHODS, (0.8, 0.1)) | figures).items():
            row = {"method": long(method), "seed": seed, "settings": {}, "safety_tax": tax}
            row["hypervolume"] = area + (wobble if method == "sst" else 0)
            body["results"].append(row | {"utility_at_target": None if tax is None else 1 - tax})
    write_json(tmp_path / name / RESULTS, body)
    return tmp_path / name


@pytest.fixture
def two_worlds(tmp_path):
    better = {"sst": (0.9, 0.02), "sst_shuffled": (0.85, 0.2)}
    first = report(tmp_path, "first", "sst-mergekit demo --seeds 10", range(10), **better)
    return first, report(tmp_path, "drifted", "sst-mergekit demo --drift", range(10), **better)


def test_the_bar_is_met_by_enough_seeds_of_two_worlds(two_worlds):
    units = read(two_worlds)
    lines = {line.name: line for line in tally(units, "sst")}
    assert set(lines) == set(METHODS) - {"sst"}
    against = lines["task_arithmetic"]
    assert against.hypervolume.pairs == against.hypervolume.won == 20
    assert against.hypervolume.mean == pytest.approx(0.1009)
    assert against.cut == pytest.approx(0.8)
    assert against.utility.mean == pytest.approx(0.08)
    drifted, first = verdict(units, "sst").splitlines()
    assert drifted.startswith("- drifted world: tax 80% below")
    assert first.startswith("- first world: tax 80% below Task Arithmetic's (wanted 60%: met)")
    assert first.endswith("hypervolume ahead of 3 of 3 merges at p < 0.05 (met).")


def test_nine_seeds_are_too_few_whatever_the_figures(two_worlds):
    first, drifted = read(two_worlds[:1]), read(two_worlds[1:])
    lines = verdict(first + drifted[:9], "sst").splitlines()
    assert ["Too few for the bar: 10 seeds" in line for line in lines] == [True, False]


def test_a_lost_comparison_is_called_lost(tmp_path):
    units = read([report(tmp_path, "a", "sst-mergekit demo", range(10), ties=(0.95, 0.01), sst=(0.9, 0.1))])
    text = verdict(units, "sst")
    assert "tax 0% below Task Arithmetic's (wanted 60%: not met)" in text
    assert "ahead of 2 of 3 merges at p < 0.05, not of TIES (not met)" in text


def test_a_tax_that_is_null_leaves_the_mean(tmp_path):
    folders = [report(tmp_path, "a", "demo", [0], sst=(0.8, None)), report(tmp_path, "b", "demo", [1])]
    line = tally(read(folders), "sst")[0]
    assert (line.tax, line.baseline_tax) == (0.1, 0.1)
    only_null = tally(read(folders[:1]), "sst")[0]
    assert only_null.tax is None
    assert only_null.utility is None
    assert only_null.cut is None


def test_what_shapes_a_world_names_it(tmp_path):
    command = "sst-mergekit demo --quick --drift --calibration-rows 16 --hold-out-harm 3 --seed 0"
    [unit] = read([report(tmp_path, "a", command, [0])])
    assert unit.world == "quick drifted world (calibration-rows 16) (hold-out-harm 3)"


def test_what_cannot_be_counted(tmp_path):
    folder = report(tmp_path, "a", "demo", [0, 1])
    with pytest.raises(DataError, match="seed 0 of the first world is in two of the folders"):
        read([folder, folder])
    with pytest.raises(SstError, match=r"nothing: no results\.json"):
        read([tmp_path / "nothing"])
    (folder / RESULTS).write_text('{"config": {}}')
    with pytest.raises(DataError, match=r"a: not the results of a comparison .*run it again"):
        read([folder])
    (folder / RESULTS).unlink()
    with pytest.raises(SstError, match=r"a: no results\.json"):
        read([folder])


def test_other_comparisons_are_counted_by_model_and_mode(tmp_path):
    folder = report(tmp_path, "a", "sst-mergekit demo", [0])
    body = json.loads((folder / RESULTS).read_text())
    body["config"] |= {"experiment": "study", "model": "mine", "mode": "study"}
    write_json(folder / RESULTS, body)
    assert [unit.world for unit in read([folder])] == ["mine, study"]


def test_the_command_prints_both_forms(two_worlds):
    folders = [str(folder) for folder in two_worlds]
    text = CliRunner().invoke(main, ["tally", *folders])
    assert text.exit_code == 0
    assert "Seeds: 10 of the drifted world, 10 of the first world." in text.output
    body = json.loads(CliRunner().invoke(main, ["tally", "--json", *folders]).output)
    assert {line["name"] for line in body} == set(METHODS) - {"sst"}
    wrong = CliRunner().invoke(main, ["tally", *folders, "--method", "tsis"])
    assert wrong.exit_code == 2
    assert "method 'tsis' is not in every run; there are lora_training, sst" in wrong.output


def test_a_curve_shows_each_number_of_rows(tmp_path):
    command = "sst-mergekit demo --calibration-rows {} --seeds 3"
    few = report(tmp_path, "few", command.format(4), range(3), sst=(0.6, None))
    many = report(tmp_path, "many", command.format(64), range(3), sst=(0.9, 0.02))
    png = tmp_path / "curve.png"
    shown = CliRunner().invoke(main, ["tally", str(many), str(few), "--curve", str(png)])
    assert shown.exit_code == 0, shown.output
    assert png.read_bytes().startswith(b"\x89PNG")
    [line] = [line for line in shown.output.splitlines() if line.startswith("| SST-Merge |")]
    assert line == "| SST-Merge | 0.601 ± 0.002 (null) | 0.901 ± 0.002 (0.020) |"
    wrong = CliRunner().invoke(
        main, ["tally", str(few), str(many), "--curve", str(tmp_path / "no" / "c.png")]
    )
    assert wrong.exit_code == 2
    assert "c.png: no such folder; make it first" in wrong.output
    for folders, why in (
        ([few], "two numbers N or more"),
        ([few, report(tmp_path, "fewer", command.format(8), range(2))], "not the same seeds"),
    ):
        with pytest.raises(DataError, match=why):
            curves(read(folders))


def test_a_curve_without_any_tax_is_drawn_all_the_same(tmp_path):
    command = "sst-mergekit demo --calibration-rows {}"
    none = dict.fromkeys(METHODS, (0.5, None))
    folders = [str(report(tmp_path, f"n{n}", command.format(n), [0], **none)) for n in (4, 8)]
    shown = CliRunner().invoke(main, ["tally", *folders, "--curve", str(tmp_path / "c.png")])
    assert shown.exit_code == 0, shown.output
    assert "| TIES | 0.500 (null) | 0.500 (null) |" in shown.output
