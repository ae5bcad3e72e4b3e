"""Choosing on development, reporting on test: exact cases, and the laws of a fair comparison."""

import dataclasses
import json

import pytest
from click.testing import CliRunner

from sst_mergekit.cli import main
from sst_mergekit.experiments.methods import EVERY, Experts
from sst_mergekit.experiments.results import Point, SeedResult, choose, compare, method_result, to_test
from sst_mergekit.experiments.strategies.bracket import bracket
from sst_mergekit.experiments.variants import VARIANTS
from sst_mergekit.metrics.estimate import Rate
from sst_mergekit.reporting import demo_report as report
from sst_mergekit.reporting.demo_picture import draw
from sst_mergekit.testbeds.scores import Scores


def scores(safety, utility):
    """Scores whose three parts of utility are equal."""
    part = Rate(utility, 0.01, 50)
    return Scores(Rate(safety, 0.01, 160), {"mmlu": part, "humaneval": part, "compliance": part})


def point(strength, dev, test=None):
    return Point({"strength": strength}, scores(*dev), scores(*test) if test else None)


UTILITY = scores(0.1, 0.9)


def test_choice_is_the_best_utility_among_the_safe_on_development():
    points = [
        point(0.1, (0.5, 0.9), (0.99, 0.99)),
        point(0.2, (0.90, 0.7), (0.1, 0.1)),
        point(0.3, (0.95, 0.7)),
        point(0.4, (0.99, 0.5)),
    ]
    chosen, reached = choose(points)
    assert (chosen.settings, reached) == ({"strength": 0.3}, True)


def test_where_nothing_is_safe_the_safest_is_chosen_and_marked():
    chosen, reached = choose([point(0.1, (0.5, 0.9)), point(0.2, (0.6, 0.2)), point(0.3, (0.6, 0.3))])
    assert (chosen.settings, reached) == ({"strength": 0.3}, False)


def test_the_test_split_sees_the_development_front_and_the_choice_alone():
    points = [point(0.1, (0.5, 0.9)), point(0.2, (0.4, 0.8)), point(0.3, (0.95, 0.7)), point(0.4, (0.9, 0.6))]
    assert to_test(points) == [0, 2]


def test_figures_are_of_the_test_split():
    points = [point(0.1, (0.5, 0.85), (0.5, 0.8)), point(0.2, (0.95, 0.7), (0.9, 0.5))]
    result = method_result(points, UTILITY)
    assert result.tax.value == pytest.approx((0.9 - 0.5) / (0.9 - 0.1))
    assert result.hypervolume == pytest.approx(0.1 * 0.9 + 0.4 * 0.8 + 0.4 * 0.5)
    assert result.tried == 2
    assert result.utility_at_target == pytest.approx(0.5)
    with pytest.raises(ValueError, match="no test scores"):
        method_result([point(0.1, (0.95, 0.7))], UTILITY)


def seed_result(seed, gain=0.0, trained=0.6):
    """Every method ends at utility 0.7, SST-Merge at 0.7 + gain."""
    final = dict.fromkeys(report.LABELS, 0.7) | {"sst": 0.7 + gain, report.TRAINED: trained}
    methods = {name: method_result([point(1.0, (0.95, u), (0.95, u))], UTILITY) for name, u in final.items()}
    experts = {"base": scores(0.0, 0.5), "utility": UTILITY, "safety": scores(1.0, 0.4)}
    return SeedResult(seed, experts, methods)


def test_comparison_is_paired_by_seed():
    found = compare([seed_result(0, 0.1), seed_result(1, 0.2), seed_result(2, -0.1)], "sst")
    assert found.seeds_won == 2
    assert found.hypervolume_gain == pytest.approx(0.85 * (0.1 + 0.2 - 0.1) / 3)
    assert found.baseline_tax == pytest.approx(0.2 / 0.85)
    assert found.cut == pytest.approx(1 - (0.1 + 0.0 + 0.3) / 3 / 0.2)


def test_a_method_without_a_gain_has_no_tax_and_no_cut():
    result = seed_result(0)
    stuck = method_result([point(1.0, (0.1, 0.9), (0.1, 0.9))], UTILITY)
    result = dataclasses.replace(result, methods=result.methods | {"sst": stuck})
    found = compare([result], "sst")
    assert found.tax is None
    assert found.cut is None
    text = report.table([result])
    row = next(line for line in text.splitlines() if "**SST-Merge**" in line)
    assert "†1" in row
    assert "| null |" in row


def test_the_tax_comes_apart_into_skill_and_over_refusal():
    parts = {"compliance": 0.6, "mmlu": 0.9, "humaneval": 0.75}
    refuses = Scores(Rate(0.9, 0.01, 160), {name: Rate(value, 0.01, 50) for name, value in parts.items()})
    result = seed_result(0)
    found = method_result([Point({"strength": 1.0}, refuses, refuses)], UTILITY)
    found = compare([dataclasses.replace(result, methods=result.methods | {"sst": found})], "sst")
    assert found.tax == pytest.approx((0.3 + 0.0 + 0.15) / 3 / 0.8)
    assert found.over_refusal == pytest.approx(0.3 / 3 / 0.8)
    assert found.baseline_over_refusal == pytest.approx(found.baseline_tax / 3)


ABOUT = {"command": "sst-mergekit demo", "budget": 24, "seconds": 1.0, "versions": {}}


@pytest.mark.parametrize(("gain", "words"), [(0.1, "beats Task"), (-0.1, "does not beat Task")])
def test_the_verdict_says_who_won(gain, words):
    text = report.to_markdown([seed_result(0, gain), seed_result(1, gain / 2)], ABOUT)
    assert words in text
    assert all(label in text for label in report.LABELS.values())


def test_the_conflict_is_checked_as_promised():
    holds = report.conflict([seed_result(0)])
    assert holds["mean"] == pytest.approx(0.2 / 0.85)
    assert holds["holds"]
    weak = method_result([point(1.0, (0.95, 0.89), (0.95, 0.89))], UTILITY)
    result = seed_result(1)
    result = dataclasses.replace(result, methods=result.methods | {report.BASELINE: weak})
    assert not report.conflict([seed_result(0), result])["holds"]  # mean enough, one seed too little


def test_json_holds_every_figure():
    body = json.loads(json.dumps(report.to_json([seed_result(0, 0.1)], ABOUT)))
    assert body["seeds"][0]["methods"]["sst"]["chosen"]["test"]["safety"]["n"] == 160
    assert body["against_task_arithmetic"]["sst"]["seeds_won"] == 1


def test_a_picture_is_drawn(tmp_path):
    draw([seed_result(seed, 0.1) for seed in range(4)], tmp_path / "fronts.png")
    assert (tmp_path / "fronts.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("aligned", ["", "/a"])
def test_every_recipe_of_the_sweep_is_one_that_mergekit_reads(aligned):
    from mergekit.config import MergeConfiguration
    from mergekit.merge_methods import registry

    import sst_mergekit

    sst_mergekit.register()
    experts = Experts("/b", "/u", "/b+/s", "/f", "/r", aligned)
    for method in EVERY + VARIANTS:
        body = method.recipe(experts, bracket(method, 8)([])[0])
        config = MergeConfiguration.model_validate(body)
        spec = registry.get(config.merge_method).spec
        assert set(config.parameters or {}) <= {p.name for p in spec.shared_parameters}
        for model in config.models:
            assert set(model.parameters) == {p.name for p in spec.input_parameters} & set(model.parameters)
        named = {model["model"] for model in body["models"]} | {body.get("base_model")}
        restoring = {"safemerge", "safe_lora", "resta", "lox"}
        assert (named >= {"/a", "/b"}) == (aligned == "/a" and method.name in restoring), method.name


def test_a_method_that_is_not_there_is_one_line_and_leaves_nothing(tmp_path):
    out = tmp_path / "out"
    result = CliRunner().invoke(main, ["demo", "--methods", "ties,sts", "--out", str(out)])
    assert result.exit_code == 2
    assert "--methods: no method 'sts' here; there are task_arithmetic, ties" in result.output
    assert not out.exists()
