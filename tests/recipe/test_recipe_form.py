"""Rules on the form of any recipe, each with the recipe that breaks it; the whole one passes them all."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest
from mergekit.config import MergeConfiguration
from recipe_world import Raw, World, changed, faults_of

from sst_mergekit.errors import RecipeError
from sst_mergekit.recipe.check import check_recipe
from sst_mergekit.recipe.parse import load_recipe

FAULTS = {
    # changes to a TIES recipe without faults -> the line expected
    "unknown top-level key": ({"dtpye": "float32"}, r"^dtpye: unknown key.*did you mean 'dtype'"),
    "unknown key of a model": (
        {"models.0.paramters": {}},
        r"^models\[0\].paramters: unknown key.*'parameters'",
    ),
    "unknown key of the tokenizer": (
        {"tokenizer": {"source": "base", "pad_to_multiple": 8}},
        r"^tokenizer.pad_to_multiple: unknown key.*'pad_to_multiple_of'",
    ),
    "unknown key of a token": (
        {"tokenizer": {"source": "base", "tokens": {"w1": {"forced": True}}}},
        r"^tokenizer.tokens.w1.forced: unknown key.*'force'",
    ),
    "unknown key of a conditional": (
        {"parameters.normalize": {"value": True, "filtr": "mlp"}},
        r"^parameters.normalize.filtr: unknown key.*'filter'",
    ),
    "value of a wrong type": ({"dtype": [1]}, r"^dtype: got \[1\], expected a string$"),
    "model missing": ({"models.1.model": None}, r"^models\[1\].model: missing"),
    "tokenizer as a string": ({"tokenizer": "base"}, r"^tokenizer: got 'base', expected"),
    "source of no tokenizer": (
        {"tokenizer_source": 3},
        r"^tokenizer_source: got 3, expected 'union' or 'base' or a model$",
    ),
    "a list of parameters": ({"parameters": [1]}, r"^parameters: got \[1\], expected a mapping$"),
    "parameters of a model as a string": (
        {"models.0.parameters": "x"},
        r"^models\[0\].parameters: got 'x', expected a mapping$",
    ),
    "models as a mapping": ({"models": {"x": 1}}, r"^models: got {'x': 1}, expected a list$"),
    "a model as a string": ({"models.0": "x"}, r"^models\[0\]: got 'x', expected a mapping$"),
    "no layout": ({"models": None}, r"^models: got none of them, expected exactly one"),
    "two layouts": ({"slices": [{"sources": []}]}, r"^models: got models and slices, expected exactly one"),
    "two tokenizer keys": (
        {"tokenizer": {"source": "base"}, "tokenizer_source": "base"},
        r"^tokenizer_source: contradicts tokenizer",
    ),
    "method missing": ({"merge_method": None}, r"^merge_method: missing; choose one of .*sst.*ties"),
    "method misspelt": ({"merge_method": "tise"}, r"^merge_method: got 'tise', no such method.*'ties'"),
    "two adapters": ({"models.0.model": "a+b+c"}, r"^models\[0\].model: got 'a\+b\+c', expected model\["),
    "base model missing": ({"base_model": None}, r"^base_model: missing; method ties needs"),
    "too few models": (
        {"merge_method": "model_stock", "models.0.parameters": None, "models.1": None, "parameters": None},
        r"^models: method model_stock requires at least 3 inputs.*got 2",
    ),
    "too many models": (
        {"merge_method": "slerp", "parameters": {"t": 0.5}},
        r"^models: method slerp requires exactly 2 inputs.*got 3",
    ),
    "dtype misspelt": ({"dtype": "float23"}, r"^dtype: got 'float23' \(did you mean 'float32'\?\); allowed"),
    "out_dtype misspelt": ({"out_dtype": "bf16"}, r"^out_dtype: got 'bf16'.*allowed: bfloat16"),
    "chat template misspelt": ({"chat_template": "chatlm"}, r"^chat_template: got 'chatlm'.*'chatml'"),
    # parameters
    "unknown shared parameter": (
        {"parameters.normalise": True},
        r"^parameters.normalise: unknown parameter of ties, would be ignored.*'normalize'",
    ),
    "unknown parameter of a model": (
        {"models.1.parameters.densty": 0.5},
        r"^models\[1\].parameters.densty: unknown parameter of ties.*'density'",
    ),
    "shared parameter at a model": (
        {"models.0.parameters.lambda": 0.5},
        r"^models\[0\].parameters.lambda: is the same for all models; move it",
    ),
    "empty list": ({"parameters.lambda": []}, r"^parameters.lambda: got an empty list, expected a value"),
    "nothing": ({"parameters": {"lambda": {}}}, r"^parameters.lambda.value: got nothing, expected a value"),
    "mixed list": (
        {"parameters.lambda": [1, {"value": 1}]},
        r"^parameters.lambda: got \[1, .*expected a value",
    ),
    "filter no string": (
        {"parameters.lambda": [{"value": 1, "filter": 3}, {"value": 1}]},
        r"^parameters.lambda\[0\].filter: got 3, expected a part of a tensor's name",
    ),
    "never used": (
        {"parameters.lambda": [{"value": 1}, {"value": 2, "filter": "mlp"}]},
        r"^parameters.lambda\[1\]: never used: parameters.lambda\[0\] comes before it",
    ),
    "wrong type": ({"parameters.lambda": "much"}, r"^parameters.lambda: got 'much', expected a valid number"),
    "a truth for a number": ({"parameters.lambda": True}, r"^parameters.lambda: got True, expected a number"),
    "in a gradient": ({"parameters.lambda": [0, "x"]}, r"^parameters.lambda\[1\]: got 'x', expected a valid"),
    "in a conditional": (
        {"parameters.lambda": [{"value": [0, "x"], "filter": "mlp"}, {"value": 1}]},
        r"^parameters.lambda\[0\].value\[1\]: got 'x', expected a valid",
    ),
    "required parameter missing": (
        {"models.0.parameters.weight": None},
        r"^models\[0\].parameters.weight: missing; method ties needs it",
    ),
    "required shared parameter missing": (
        {"merge_method": "slerp", "models.1": None, "models.0.parameters": None, "parameters": None},
        r"^parameters.t: missing; method slerp needs it",
    ),
    "required parameter missing for some tensors": (
        {"models.0.parameters.weight": [{"value": 1, "filter": "mlp"}, {"value": 1, "filter": "self_attn"}]},
        r"^models\[0\].parameters.weight: no filter fits tensor (lm_head|model.embed_tokens|model.norm)",
    ),
}


def the_fault(pattern: str, recipe: Raw, directory: Path, **options: object) -> None:
    """Assert that exactly one line fits the pattern."""
    lines = [str(fault) for fault in faults_of(recipe, directory, **options)]
    assert sum(bool(re.search(pattern, line)) for line in lines) == 1, lines


@pytest.mark.parametrize(("changes", "pattern"), FAULTS.values(), ids=FAULTS)
def test_fault_is_named(changes: dict, pattern: str, world: World, tmp_path: Path) -> None:
    the_fault(pattern, changed(world.ties(), changes), tmp_path)


PASSES = {
    "as it is": {},
    "a gradient": {"parameters.lambda": [0.5, 1.0]},
    "scientific notation": {"parameters.lambda": "1e-1"},
    "conditionals": {"parameters.lambda": [{"value": [0, 1], "filter": "mlp"}, {"value": 1}]},
    "filters for all tensors": {
        "models.0.parameters.weight": [{"value": 1, "filter": "model."}, {"value": 1, "filter": "lm_head"}]
    },
    "shared parameter of models": {"models.0.parameters.weight": None, "parameters.weight": 1.0},
    "torch dtype": {"dtype": "torch.float32"},
    "known template": {"chat_template": "chatml"},
    "template in Jinja": {"chat_template": "{{ messages }}"},
    "a base model listed": {"base_model": "@base", "models.2": {"model": "@base"}},
    "a tokenizer": {"tokenizer": {"source": "base", "tokens": {"w1": {"source": "@base", "force": True}}}},
}


@pytest.mark.parametrize("changes", PASSES.values(), ids=PASSES)
def test_recipe_without_fault_passes(changes: dict, world: World, tmp_path: Path) -> None:
    recipe = world.ties()
    if "models.2" in changes:
        recipe["models"].append(None)
    text = changed(recipe, changes)
    assert faults_of(_filled(text, world), tmp_path) == []


def _filled(value: object, world: World) -> object:
    """Return the recipe with ``@base`` replaced by the base model's path."""
    if isinstance(value, dict):
        return {key: _filled(item, world) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, world) for item in value]
    return world.path("base") if value == "@base" else value


def test_all_faults_are_reported_not_the_first(world: World, tmp_path: Path) -> None:
    recipe = changed(world.ties(), {"dtpye": "x", "parameters.nope": 1, "models.0.parameters.weight": "x"})
    assert [fault.where for fault in faults_of(recipe, tmp_path)] == [
        "dtpye",
        "parameters.nope",
        "models[0].parameters.weight",
    ]


def test_base_of_linear_is_an_input(world: World, tmp_path: Path) -> None:
    recipe = changed(world.ties(), {"merge_method": "linear", "parameters": None})
    for item in recipe["models"]:
        item["parameters"] = {"weight": 1}
    the_fault(r"^base_model: is merged like a model and has no 'weight'", recipe, tmp_path)
    recipe["models"].append({"model": world.path("base"), "parameters": {"weight": 0.0}})
    assert faults_of(recipe, tmp_path) == []


def test_parameter_of_the_base_model_is_refused(world: World, tmp_path: Path) -> None:
    recipe = world.ties()
    recipe["models"].append({"model": world.path("base"), "parameters": {"weight": 1}})
    the_fault(r"^models\[2\].parameters.weight: models\[2\] is the base model", recipe, tmp_path)


def test_model_listed_twice_is_refused(world: World, tmp_path: Path) -> None:
    recipe = world.ties()
    recipe["models"].append(recipe["models"][0])
    the_fault(r"^models\[2\].model: '.*utility' is models\[0\] too", recipe, tmp_path)


def test_slices_are_checked_too(world: World, tmp_path: Path) -> None:
    source = {"model": world.path("utility"), "layer_range": [0, 2], "parameters": {"wieght": 1}}
    base = {"model": world.path("base"), "layer_range": [0, 2]}
    recipe = {"merge_method": "task_arithmetic", "base_model": world.path("base"), "dtype": "float32"}
    recipe["slices"] = [{"sources": [source, base], "parameters": {"lamda": 1}}]
    lines = [str(fault) for fault in faults_of(recipe, tmp_path)]
    assert [line.split(":")[0] for line in lines] == [
        "slices[0].parameters.lamda",
        "slices[0].sources[0].parameters.wieght",
        "slices[0].sources[0].parameters.weight",
    ]


def test_filter_that_fits_nothing_is_a_warning(world: World, tmp_path: Path) -> None:
    setting = [{"value": 1, "filter": "mpl"}, {"value": 1}]
    (fault,) = faults_of(changed(world.ties(), {"parameters.lambda": setting}), tmp_path)
    assert fault.warning
    assert str(fault) == "parameters.lambda[0].filter: 'mpl' is part of no tensor's name"


UNREADABLE = {
    "no such file": (None, "recipe.yml: cannot be read"),
    "not YAML": ("a: [1", "recipe.yml: line 1, column 6: .*mend the YAML"),
    "no mapping": ("- a\n- b\n", "recipe.yml: holds list, expected keys like merge_method"),
    "empty": ("", "recipe.yml: holds NoneType"),
    "a key twice": ("dtype: a\nmodels: []\ndtype: b\n", "line 3, column 1: key 'dtype' is written twice"),
    "no text": (b"\xff\xfe\x00", "recipe.yml: cannot be read"),
}


@pytest.mark.parametrize(("text", "message"), UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable_recipe(text: str | bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yml"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RecipeError, match=message):
        load_recipe(path)
    (fault,) = check_recipe(path)
    assert re.search(message, str(fault))


RUBBISH = (None, "", "a+b+c", -1.5, True, [], ["x"], {"x": 1}, [{"x": 1}], [[1]])


def nodes(value: object, path: tuple = ()) -> list[tuple]:
    """Return the path of every value in a recipe."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return found + [inner for key, item in items for inner in nodes(item, (*path, key))]


@pytest.mark.slow
@pytest.mark.parametrize("rubbish", RUBBISH, ids=repr)
def test_rubbish_anywhere_is_survived_and_what_mergekit_refuses_is_named(
    rubbish: object, world: World, tmp_path: Path
) -> None:
    extra = {
        "tokenizer": {"source": "base", "tokens": {"w1": {"force": True}}},
        "modules": {"m": {"models": 1}},
    }
    for original in (world.sst(), world.ties(), world.sst() | extra):
        for path in nodes(original):
            recipe = copy.deepcopy(original)
            at = recipe
            for part in path[:-1]:
                at = at[part]
            at[path[-1]] = rubbish
            faults = faults_of(recipe, tmp_path)
            try:
                MergeConfiguration.model_validate(recipe)
            except (ValueError, RuntimeError):
                assert any(not fault.warning for fault in faults), path
