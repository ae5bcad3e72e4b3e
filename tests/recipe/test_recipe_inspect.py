"""`sst-mergekit inspect` as a user meets it."""

import pytest
import yaml
from click.testing import CliRunner
from recipe_world import changed

from sst_mergekit.cli import main
from sst_mergekit.inspection.layers import inspect
from sst_mergekit.recipe.parse import load_recipe


def run(recipe, tmp_path, *more):
    path = tmp_path / "recipe.yml"
    path.write_text(yaml.safe_dump(recipe))
    return CliRunner().invoke(main, ["inspect", str(path), "--quiet", *map(str, more)])


def keeping(recipe):
    return changed(recipe, {"parameters.on_missing": "keep"})


def test_every_changed_weight_has_a_line(world, tmp_path):
    result = run(keeping(world.sst()), tmp_path, "--picture", tmp_path / "kept.png")
    assert result.exit_code == 0, result.output
    assert f"patch of {world.path('safety')}" in result.output
    lines = [line for line in result.output.splitlines() if line.startswith("model.layers.1.mlp.up_proj")]
    assert len(lines) == 1
    assert lines[0].count("%") == 3
    assert (tmp_path / "kept.png").read_bytes().startswith(b"\x89PNG")


def test_adapters_are_inspected_without_a_merge(world, tmp_path):
    result = run(world.lora(), tmp_path)
    assert result.exit_code == 0, result.output
    weights = [line.split()[0] for line in result.output.splitlines() if line.startswith("model.")]
    assert len(weights) == len(set(weights)) == 4  # q_proj and up_proj of two layers


def test_too_few_samples_and_too_little_left_are_said(world, tmp_path):
    result = run(changed(world.lora(), {"parameters.cost": 1e6}), tmp_path)
    assert "12 response tokens for 24 dimensions" in result.output
    assert "of the norm is left" in result.output
    assert "and 3 more" in result.output or "and 1 more" in result.output


def test_numbers_are_those_of_the_merge(world, tmp_path):
    """A gradient over the layers and the roles' weights reach the inspection as they reach the merge."""
    graded = changed(world.lora(), {"parameters.cost": [0.0, 5.0]})
    path = tmp_path / "recipe.yml"
    path.write_text(yaml.safe_dump(graded))
    norms = {each.weight: each.kept.norm for each in inspect(load_recipe(path))}
    first = [norm for name, norm in norms.items() if ".layers.0." in name]
    last = [norm for name, norm in norms.items() if ".layers.1." in name]
    assert min(first) > max(last)


def test_experts_of_equal_standing_are_all_inspected(world, tmp_path):
    recipe = changed(world.lora(), {f"models.{i}.parameters.role": "expert" for i in range(2)})
    result = run(recipe, tmp_path)
    assert result.exit_code == 0, result.output
    assert result.output.count("patch of ") == 2


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"merge_method": "task_arithmetic"},
            "merge_method: got 'task_arithmetic'; only sst filters patches",
        ),
        ({"parameters.filter": "data_free"}, "parameters.filter: 'data_free' has no statistics to inspect"),
        ({"parameters.filter": "sofd"}, "parameters.filter: got 'sofd'"),
    ],
)
def test_what_cannot_be_inspected_is_one_line(world, tmp_path, changes, text):
    more = ["--no-check"] if "merge_method" in changes else []
    result = run(changed(world.lora(), changes), tmp_path, *more)
    assert result.exit_code == 2, result.output
    assert text in result.output
