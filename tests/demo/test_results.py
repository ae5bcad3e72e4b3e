"""Choosing on development, reporting on test: exact cases, and the laws of a fair comparison."""

import json

import pytest
from click.testing import CliRunner

from sst_mergekit.cli import main
from sst_mergekit.experiments.baselines import report
from sst_mergekit.experiments.methods import EVERY, Experts
from sst_mergekit.experiments.names import LABELS
from sst_mergekit.experiments.results import Point, SeedResult, choose, method_result, to_test
from sst_mergekit.experiments.strategies.bracket import bracket
from sst_mergekit.experiments.targets import conflict
from sst_mergekit.experiments.variants import VARIANTS
from sst_mergekit.experiments.writing import RESULTS, write_json
from sst_mergekit.metrics.estimate import Rate
from sst_mergekit.reporting.fronts_picture import draw
from sst_mergekit.reporting.rows import rows
from sst_mergekit.reporting.write import write
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


def seed_result(seed, gain=0.0, **others):
    """Every method ends at utility 0.7, SST-Merge at 0.7 + gain."""
    final = dict.fromkeys(LABELS, 0.7) | {"sst": 0.7 + gain}
    methods = {name: method_result([point(1.0, (0.95, u), (0.95, u))], UTILITY) for name, u in final.items()}
    experts = {"base": scores(0.0, 0.5), "utility": UTILITY, "safety": scores(1.0, 0.4)}
    return SeedResult(seed, experts, methods | others)


STUCK = method_result([point(1.0, (0.1, 0.9), (0.1, 0.9))], UTILITY)  # no safety is won
ABOUT = {"experiment": "demo", "model": "tiny-world", "full_name": "tiny-world", "mode": "first world"}
ABOUT |= {"seeds": [0], "budget": 24, "command": "sst-mergekit demo"}


def row_of(results, name):
    [found] = [row for row in rows(report(results, ABOUT)) if row.name == name]
    return found


def written(results, out):
    """The main tables, and the line of SST-Merge in the first of them."""
    write_json(out / RESULTS, report(results, ABOUT))
    _, text = write(out)
    return text, next(line for line in text.splitlines() if line.startswith("| **SST-Merge**"))


def test_a_method_without_a_gain_has_no_tax(tmp_path):
    found = row_of([seed_result(0, sst=STUCK)], "SST-Merge")
    assert found.tax.value is None
    assert found.utility_at_target.value is None
    assert found.missed == 1
    text, line = written([seed_result(0, sst=STUCK)], tmp_path)
    assert "**SST-Merge** †1 |" in line
    assert "| – (no safety gain above noise" in line
    assert all(label in text for label in LABELS.values())
    assert "*control: SST, weights shuffled*" in text
    assert "safety 160, over-refusal 50" in text
    assert (tmp_path / "fronts.png").read_bytes().startswith(b"\x89PNG")


def test_a_mean_of_some_seeds_says_of_how_many(tmp_path):
    _, line = written([seed_result(0, 0.1), seed_result(1, 0.05), seed_result(2, sst=STUCK)], tmp_path)
    assert line.count("(n=2)") == 2  # the tax, and the utility at the target
    assert " ± " in line


def test_the_tax_comes_apart_into_the_parts_of_utility():
    parts = {"compliance": 0.6, "mmlu": 0.9, "humaneval": 0.75}
    refuses = Scores(Rate(0.9, 0.01, 160), {name: Rate(value, 0.01, 50) for name, value in parts.items()})
    refusing = method_result([Point({"strength": 1.0}, refuses, refuses)], UTILITY)
    found = row_of([seed_result(0, sst=refusing)], "SST-Merge")
    assert found.tax.value == pytest.approx((0.3 + 0.0 + 0.15) / 3 / 0.8)
    assert found.tax_parts["over-refusal"].value == pytest.approx(0.3 / 3 / 0.8)
    assert found.tax_parts["MMLU"].value == pytest.approx(0)
    assert found.tax_parts["HumanEval"].value == pytest.approx(0.15 / 3 / 0.8)
    assert found.parts["over-refusal"].value == pytest.approx(0.4)


def test_the_conflict_is_checked_as_promised():
    def verdicts(*results):
        found = [row for row in report(results, {})["results"] if row["method"] == "Task-Arithmetic"]
        return [(each["measured"], each["verdict"]) for each in conflict(found)]

    tax = pytest.approx(0.2 / 0.85)
    assert verdicts(seed_result(0)) == [(tax, "met"), (tax, "met")]
    weak = method_result([point(1.0, (0.95, 0.89), (0.95, 0.89))], UTILITY)
    mean, least = verdicts(seed_result(0), seed_result(1, task_arithmetic=weak))
    assert (mean[1], least[1]) == ("met", "not met")  # mean enough, one seed too little
    assert verdicts(seed_result(0, task_arithmetic=STUCK)) == [(None, "undefined")] * 2


def test_json_holds_every_figure():
    body = json.loads(json.dumps(report([seed_result(0, 0.1)], ABOUT)))
    [row] = [row for row in body["results"] if row["method"] == "SST-Merge"]
    assert row["parts"]["safety"]["n"] == 160
    assert row["utility_at_target"] == pytest.approx(0.9 - 0.1 * 0.8 / 0.85)
    assert row["front"][0]["safety_score"] == 0.95


def test_a_picture_has_a_panel_for_each_seed(tmp_path):
    draw(rows(report([seed_result(seed, 0.1) for seed in range(4)], ABOUT)), tmp_path / "fronts.png")
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
