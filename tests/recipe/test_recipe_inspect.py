"""`sst-mergekit inspect` as a user meets it."""

import dataclasses
import json

import pytest
import yaml
from click.testing import CliRunner
from recipe_world import changed
from tiny import tiny_data

from sst_mergekit.adapters.deltas import deltas
from sst_mergekit.cli import main
from sst_mergekit.inspection.layers import inspect
from sst_mergekit.inspection.measured import LAYERS, Options, measure
from sst_mergekit.inspection.truth import Divergence, Probe, agreement
from sst_mergekit.recipe.parse import load_recipe
from sst_mergekit.statistics.loading import load_model
from sst_mergekit.statistics.rows import Source
from sst_mergekit.statistics.sequences import read_sequences
from sst_mergekit.statistics.settings import ModelSpec
from sst_mergekit.statistics.store import open_statistics


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


HELD_OUT = (("w2 w4 w6", "w8 w1"), ("w9", "w3 w5 w7"), ("w21 w22", "w23"), ("w5 w25", "w11 w12"))


@pytest.mark.parametrize("form", ["sst", "lora"])
def test_prices_are_held_against_divergences(world, tmp_path, form):
    recipe = keeping(world.sst()) if form == "sst" else world.lora()
    held = tiny_data(tmp_path / "held.jsonl", HELD_OUT)
    picture = tmp_path / "kept.png"
    more = ["--data", held, "--harm", held, "--picture", picture, "--device", "cpu"]
    result = run(recipe, tmp_path, *more, "--json")
    assert result.exit_code == 0, result.output
    assert picture.read_bytes().startswith(b"\x89PNG")
    truth = json.loads(result.stdout)["truth"]
    layers = len([each for each in json.loads(result.stdout)["weights"] if each["kept"]])
    for side in ("benign", "harm"):
        probes = [Probe(**probe) for probe in truth[side]["probes"]]
        assert len(probes) == 6 + 2 * min(layers, LAYERS) + 12
        assert truth[side]["agreement"] == dataclasses.asdict(agreement(probes))
        assert (truth[side]["prompts"], truth[side]["shared"]) == (4, 0)
    assert truth["harm"]["probes"] != truth["benign"]["probes"]
    assert "prompts are among those" not in result.stderr


def test_the_price_is_that_of_the_statistics_at_the_patched_weights(world, tmp_path):
    """The whole patch of an adapter, written out: its price by the utility's factors, its divergence."""
    held = tiny_data(tmp_path / "held.jsonl", HELD_OUT)
    path = tmp_path / "recipe.yml"
    path.write_text(yaml.safe_dump(world.lora()))
    found = measure(load_recipe(path), [Source(str(held))], options=Options(progress=False))
    assert list(found) == ["benign"]
    whole = next(probe for probe in found["benign"].probes if probe.name == "whole × 1")
    store, total = open_statistics(world.path("fisher-skill")), 0.0
    patch = {name: change.double() for name, change, _ in deltas(world.path("base"), expert(world, "guard"))}
    for name, change in patch.items():
        factors = store.tensors(store.find(name), ("input", "output"))
        total += float((change * (factors["output"].double() @ change @ factors["input"].double())).sum()) / 2
    assert whole.foretold == pytest.approx(total, rel=1e-5)
    model = load_model(ModelSpec(world.path("base"), world.path("skill")))
    spec = ModelSpec(world.path("base"))
    rows = read_sequences(spec, Source(str(held)), None, 0, 1024, None).sequences
    assert whole.measured == pytest.approx(Divergence(model, rows)(patch), rel=1e-4)


def expert(world, name):
    return f"{world.path('base')}+{world.path(name)}"


def test_text_names_the_agreement_and_rows_that_are_not_held_out(world, tmp_path):
    rows = tiny_data(tmp_path / "rows.jsonl", (("W1  w2 w3", "w8"), *HELD_OUT))  # one prompt was measured
    result = run(world.lora(), tmp_path, "--data", rows, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "--data: 1 of 5 prompts are among those that the statistics were measured on" in result.stderr
    assert "benign, price against divergence of 26 patches on 5 prompts: Spearman" in result.stdout
    assert "harm, price" not in result.stdout


@pytest.mark.parametrize(
    ("changes", "more", "text"),
    [
        ({}, ["--harm", "x.jsonl"], "--harm: goes with --data"),
        ({}, ["--data", "none.jsonl"], "none.jsonl: no such file"),
        (
            {f"models.{i}.parameters.role": "expert" for i in range(2)},
            ["--data", "none.jsonl"],
            "--data: prices are measured for one utility and one safety expert",
        ),
    ],
)
def test_what_cannot_be_measured_is_one_line(world, tmp_path, changes, more, text):
    result = run(changed(world.lora(), changes), tmp_path, *more, "--device", "cpu")
    assert result.exit_code == 2
    errors = [line for line in result.stderr.splitlines() if line.startswith("sst-mergekit: error: ")]
    assert len(errors) == 1
    assert text in errors[0]
