"""The baselines inside mergekit: whole merges, what they are equal to, and what they say of a bad recipe."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from baselines_world import (
    EMBEDDING,
    LINEAR,
    MODELS,
    NORM,
    World,
    assert_both_say,
    merge,
    one_tensor,
    statistics,
    three,
)
from tiny_world import WORLD

from sst_mergekit.baselines import found, merge_methods
from sst_mergekit.baselines.agl import agl
from sst_mergekit.baselines.fisher import Factors, kronecker
from sst_mergekit.baselines.lox import top_directions
from sst_mergekit.baselines.regmean import regmean
from sst_mergekit.baselines.safe_lora import project
from sst_mergekit.errors import RecipeError, StatisticsError
from sst_mergekit.recipe.check import check_recipe
from sst_mergekit.testbeds.model import SYMBOLIC

NAMES = [method.spec.name for method in merge_methods()]


@pytest.mark.parametrize("method", NAMES)
def test_merges_whole_models_in_any_order(world: World, models, method: str, tmp_path: Path) -> None:
    recipe = world.recipe(method)
    merged = merge(recipe, tmp_path / "one")
    assert merged.keys() == models["base"].keys()
    assert all(bool(torch.isfinite(tensor).all()) for tensor in merged.values())
    assert {tensor.dtype for tensor in merged.values()} == {torch.float32}
    for name in ("base", "utility", "safety"):
        assert not torch.equal(merged[LINEAR], models[name][LINEAR])
    recipe["models"].reverse()
    other = merge(recipe, tmp_path / "other")
    assert all(torch.equal(merged[name], other[name]) for name in merged)


@pytest.mark.parametrize("method", NAMES)
def test_check_accepts_the_recipe(world: World, method: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yml"
    path.write_text(yaml.safe_dump(world.recipe(method)))
    assert check_recipe(path) == []


def test_what_the_rows_name_is_measured() -> None:
    for row, needs in ((baseline.row, baseline.statistics) for baseline in found()):
        settings = {"strength": row.strength} | ({row.second[0]: row.second[1][0]} if row.second else {})
        models = row.recipe(SYMBOLIC, settings)["models"]
        named = [model["parameters"].get(parameter) for model in models for parameter in needs]
        units = [WORLD.unit(each.removeprefix("unit:/")) for each in named if each]
        assert {unit.kind for unit in units} <= {"statistics"}
        assert any(named) == bool(needs)


@pytest.mark.slow
@pytest.mark.parametrize("method", NAMES)
def test_stock_mergekit_writes_the_same_bytes_under_another_hash_seed(
    world: World, method: str, tmp_path: Path
) -> None:
    merge(world.recipe(method), tmp_path / "here")
    path, out = tmp_path / "recipe.yml", tmp_path / "stock"
    path.write_text(yaml.safe_dump(world.recipe(method)))
    command = [str(Path(sys.executable).with_name("mergekit-yaml")), str(path), str(out), "--quiet"]
    seed = "1" if os.environ.get("PYTHONHASHSEED") == "0" else "0"
    environment = os.environ | {"PYTHONHASHSEED": seed}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    written = [next(folder.glob("*.safetensors")).read_bytes() for folder in (tmp_path / "here", out)]
    assert written[0] == written[1]


@pytest.mark.parametrize("method", ["fisher", "regmean", "led", "dare_svd", "knots"])
def test_three_experts_in_any_order(world: World, models, method: str) -> None:
    tensors = {name: tensor.double() for name, tensor in three(models, LINEAR, "unaligned").items()}
    names = ("utility", "safety", "unaligned")
    own: dict = {"weight": dict(zip(names, (1.0, 0.7, 0.3), strict=True))}
    kind = "kronecker" if method == "regmean" else "diagonal"
    sources = dict(zip(names, (world.path(f"{name}-{kind}") for name in MODELS[:3]), strict=True))
    own |= {"fisher": sources} if method not in ("dare_svd", "knots") else {}
    own |= {"fisher_base": dict.fromkeys(names, world.path("base-diagonal"))} if method == "led" else {}
    merged = one_tensor(method, tensors, **own)
    for order in itertools.permutations(names):
        shuffled = {name: tensors[name] for name in ("base", *order)}
        assert torch.equal(one_tensor(method, shuffled, **own), merged)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("method", "roles", "parameters"),
    [
        ("safemerge", ("utility", "safety"), {"strength": 0.0, "threshold": 1.0}),
        ("safemerge", ("utility", "safety"), {"threshold": -1.0}),
        ("safe_lora", ("utility", "aligned"), {"threshold": -1.0}),
        ("resta", ("utility", "aligned"), {"strength": 0.0}),
        ("mergealign", ("utility", "safety"), {"strength": 0.0}),
        ("lox", ("utility", "aligned"), {"strength": 0.0}),
        ("agl", ("utility", "safety"), {"strength": 0.0, "penalty": 0.0}),
    ],
)
def test_nothing_to_do_gives_the_utility_expert_bit_for_bit(models, method, roles, parameters, dtype) -> None:
    tensors = {key: tensor.to(dtype) for key, tensor in three(models).items()}
    tensors["utility"] = tensors["utility"].clone()
    tensors["utility"][0, 0] = -0.0
    role = dict(zip(("utility", "safety"), roles, strict=True))
    merged = one_tensor(method, tensors, role=role, **parameters)
    assert merged.dtype == dtype
    assert torch.equal(merged.view(torch.uint8), tensors["utility"].view(torch.uint8))


@pytest.mark.parametrize("method", ["resta", "lox", "agl", "dare_svd"])
def test_plain_settings_are_task_arithmetic(models, method: str) -> None:
    plain = {
        "resta": {"role": {"utility": "utility", "safety": "aligned"}},
        "lox": {"role": {"utility": "utility", "safety": "aligned"}, "extrapolation": 0.0},
        "agl": {"role": {"utility": "utility", "safety": "safety"}, "penalty": 0.0},
        "dare_svd": {"drop": 0.0},
    }[method]
    tensors = three(models)
    expected = tensors["utility"] + tensors["safety"] - tensors["base"]
    torch.testing.assert_close(one_tensor(method, tensors, **plain), expected)


def test_knots_alone_is_the_expert_and_strength_scales_the_update(models) -> None:
    tensors = {name: models[name][LINEAR] for name in ("base", "safety")}
    torch.testing.assert_close(one_tensor("knots", tensors, density=1.0), tensors["safety"])
    half = one_tensor("knots", tensors, density=1.0, strength=0.5)
    torch.testing.assert_close(half, (tensors["base"] + tensors["safety"]) / 2)


def test_bfloat16_is_merged_in_higher_precision(models) -> None:
    low = {key: tensor.bfloat16() for key, tensor in three(models).items()}
    high = {key: tensor.double() for key, tensor in low.items()}
    role = {"utility": "utility", "safety": "safety"}
    merged = one_tensor("mergealign", low, role=role, strength=0.3)
    assert torch.equal(merged, one_tensor("mergealign", high, role=role, strength=0.3).bfloat16())


def test_fisher_reads_the_models_own_statistics(world: World, models) -> None:
    tensors = three(models)
    sources = {name: world.path(f"{name}-diagonal") for name in ("utility", "safety")}
    merged = one_tensor(
        "fisher", tensors, fisher=sources, damping=0.0, weight={"utility": 1.0, "safety": 2.0}
    )
    f_u, f_s = (statistics(world, f"{name}-diagonal")["diagonal"].double() for name in ("utility", "safety"))
    f_s = 2 * f_s
    expected = (f_u * tensors["utility"] + f_s * tensors["safety"]) / (f_u + f_s)
    torch.testing.assert_close(merged, expected.float())


def test_kronecker_fisher_and_regmean_read_the_models_own_statistics(world: World, models) -> None:
    tensors = three(models)
    sources = {name: world.path(f"{name}-kronecker") for name in ("utility", "safety")}
    read = [statistics(world, f"{name}-kronecker") for name in ("safety", "utility")]
    sorted_tensors = [tensors["safety"].double(), tensors["utility"].double()]
    factors = [Factors(item["input"], item["output"]) for item in read]
    expected = kronecker(sorted_tensors, factors, [1.0, 1.0], 0.05)
    merged = one_tensor("fisher", tensors, fisher=sources, geometry="kronecker", damping=0.05)
    torch.testing.assert_close(merged, expected.float())
    expected = regmean(sorted_tensors, [item["input"] for item in read], [1.0, 1.0])
    torch.testing.assert_close(one_tensor("regmean", tensors, fisher=sources), expected.float())


def test_factors_of_different_forms_are_refused(world: World, models, tmp_path: Path) -> None:
    other = shutil.copytree(world.path("safety-kronecker"), tmp_path / "token")
    manifest = other / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"factors": "sequence"', '"factors": "token"'))
    recipe = world.recipe("regmean")
    for model, source in zip(recipe["models"], (world.path("utility-kronecker"), str(other)), strict=True):
        model["parameters"]["fisher"] = source
    (tmp_path / "recipe.yml").write_text(yaml.safe_dump(recipe))
    asked = (
        "token holds factors of form 'token', .*; measure again with 'sst-mergekit fisher --factors sequence'"
    )
    (fault,) = check_recipe(tmp_path / "recipe.yml")
    assert re.search(rf"^models\[1\].parameters.fisher: .*{asked}", str(fault))
    sources = {"utility": world.path("utility-kronecker"), "safety": str(other)}
    with pytest.raises(StatisticsError, match=asked):
        one_tensor("regmean", three(models), fisher=sources)


def test_an_embedding_is_merged_in_its_own_orientation(world: World, models) -> None:
    """Statistics of embeddings are [d, vocabulary], the weight is stored the other way round."""
    tensors = three(models, EMBEDDING)
    sources = {name: world.path(f"{name}-kronecker") for name in ("utility", "safety")}
    found = {name: statistics(world, f"{name}-kronecker", EMBEDDING)["input"].double() for name in sources}
    merged = one_tensor("regmean", tensors, EMBEDDING, fisher=sources).double()
    assert all(each.ndim == 1 for each in found.values())
    total = sum(found.values())
    seen = total > 1e-3 * total.mean()  # of rows that no data hold the damping decides
    assert bool(seen.any())
    mean = sum(found[name][:, None] * tensors[name].double() for name in sources) / total[:, None]
    torch.testing.assert_close(merged[seen], mean[seen], rtol=1e-2, atol=1e-4)


def test_regmean_averages_what_has_no_statistics_and_fisher_does_not(world: World, models) -> None:
    tensors = three(models, NORM)
    tensors["utility"] = tensors["utility"] + 1
    sources = {name: world.path(f"{name}-kronecker") for name in ("utility", "safety")}
    merged = one_tensor("regmean", tensors, NORM, fisher=sources, weight={"utility": 3.0, "safety": 1.0})
    torch.testing.assert_close(merged, 0.75 * tensors["utility"] + 0.25 * tensors["safety"])
    with pytest.raises(StatisticsError, match=f"{NORM}: the models differ .* set 'on_missing: average'"):
        one_tensor("fisher", tensors, NORM, fisher=sources)
    for own in (sources, {"utility": "/nowhere", "safety": "/nowhere"}):
        equal = dict.fromkeys(tensors, tensors["base"])
        assert torch.equal(one_tensor("fisher", equal, NORM, fisher=own), tensors["base"])


@pytest.mark.parametrize(
    ("roles", "aligned", "unaligned"),
    [
        ({"safety": "aligned"}, "safety", "base"),
        ({"unaligned": "unaligned"}, "base", "unaligned"),
        ({"safety": "aligned", "unaligned": "unaligned"}, "safety", "unaligned"),
    ],
)
def test_the_pair_is_completed_by_the_base_model(models, roles, aligned, unaligned) -> None:
    tensors = {"base": models["base"][LINEAR], "utility": models["utility"][LINEAR]}
    tensors |= {name: models[name][LINEAR] for name in roles}
    role = {"utility": "utility"} | roles
    v = (models[aligned][LINEAR] - models[unaligned][LINEAR]).double()
    update = (tensors["utility"] - tensors["base"]).double()
    expected = tensors["base"] + project(update, v)
    torch.testing.assert_close(one_tensor("safe_lora", tensors, role=role, threshold=1.0), expected.float())
    expected = tensors["utility"] + 0.5 * v
    torch.testing.assert_close(one_tensor("resta", tensors, role=role, strength=0.5), expected.float())
    more = (models[aligned][LINEAR] - tensors["base"]).double() + 1.5 * top_directions(v, 2)
    merged = one_tensor("lox", tensors, role=role, strength=0.5, extrapolation=1.5, rank=2)
    torch.testing.assert_close(merged, (tensors["utility"] + 0.5 * more).float())


def test_lox_without_a_utility_expert_extrapolates_the_aligned_model(models) -> None:
    tensors = {"base": models["base"][LINEAR], "safety": models["safety"][LINEAR]}
    delta = (tensors["safety"] - tensors["base"]).double()
    expected = tensors["safety"] + 1.25 * top_directions(delta, 6)
    merged = one_tensor("lox", tensors, role={"safety": "aligned"})
    torch.testing.assert_close(merged, expected.float())


def test_safemerge_takes_the_safety_expert_and_the_base_for_its_pair(models) -> None:
    tensors = three(models)
    role = {"utility": "utility", "safety": "safety"}
    merged = one_tensor("safemerge", tensors, role=role, threshold=1.0, strength=0.2)
    torch.testing.assert_close(merged, 0.8 * tensors["utility"] + 0.2 * tensors["safety"])
    update, v = (tensors[name].double() - tensors["base"].double() for name in ("utility", "safety"))
    similarity = torch.cosine_similarity(project(update, v).flatten(), update.flatten(), dim=0).item()
    kept = one_tensor("safemerge", tensors, role=role, threshold=similarity - 1e-6)
    assert torch.equal(kept, tensors["utility"])
    assert not torch.equal(one_tensor("safemerge", tensors, role=role, threshold=similarity + 1e-6), kept)


@pytest.mark.parametrize("method", ["safemerge", "safe_lora"])
def test_norms_stay_the_utility_experts(models, method: str) -> None:
    tensors = {key: tensor + i for i, (key, tensor) in enumerate(three(models, NORM).items())}
    role = {"utility": "utility", "safety": "safety" if method == "safemerge" else "aligned"}
    assert torch.equal(one_tensor(method, tensors, NORM, role=role, threshold=1.0), tensors["utility"])


def test_agl_guards_by_the_safety_experts_statistics(world: World, models) -> None:
    tensors = three(models)
    role, source = {"utility": "utility", "safety": "safety"}, world.path("safety-kronecker")
    fisher = {"utility": "", "safety": source}
    merged = one_tensor("agl", tensors, role=role, fisher=fisher, penalty=4.0, density=0.3, strength=0.5)
    update = (tensors["utility"] - tensors["base"]).double()
    guarded = agl(update, statistics(world, "safety-kronecker")["output"], 4.0, 0.3)
    expected = tensors["base"] + 0.5 * (tensors["safety"] - tensors["base"]).double() + guarded
    torch.testing.assert_close(merged, expected.float())
    norms = {key: tensor + i for i, (key, tensor) in enumerate(three(models, NORM).items())}
    with pytest.raises(StatisticsError, match="the models differ .* set 'on_missing: keep'"):
        one_tensor("agl", norms, NORM, role=role, fisher=fisher)
    kept = one_tensor("agl", norms, NORM, role=role, fisher=fisher, on_missing="keep")
    assert torch.equal(kept, norms["utility"])


def test_led_takes_each_entry_from_one_expert_at_most(world: World, models) -> None:
    tensors = three(models)
    fisher = {name: world.path(f"{name}-diagonal") for name in ("utility", "safety")}
    base = dict.fromkeys(fisher, world.path("base-diagonal"))
    merged = one_tensor("led", tensors, fisher=fisher, fisher_base=base)
    sources = [
        torch.isclose(merged, tensors[name], atol=1e-6, rtol=0) for name in ("base", "utility", "safety")
    ]
    assert bool((sources[0] | sources[1] | sources[2]).all())
    assert all(bool(mask.any()) for mask in sources)
    norms = {key: tensor + i for i, (key, tensor) in enumerate(three(models, NORM).items())}
    with pytest.raises(StatisticsError, match="the models differ .* set 'on_missing: average'"):
        one_tensor("led", norms, NORM, fisher=fisher, fisher_base=base)
    merged = one_tensor(
        "led", norms, NORM, fisher=fisher, fisher_base=base, on_missing="average", strength=0.5
    )
    torch.testing.assert_close(merged, norms["base"] + 0.75)


@pytest.mark.parametrize(("method", "own"), [("dare_svd", {}), ("resta", {"drop": 0.5})])
def test_draws_follow_seed_and_tensor_name(models, method: str, own: dict) -> None:
    tensors = three(models)
    if method == "resta":
        own = own | {"role": {"utility": "utility", "safety": "aligned"}}
    one = one_tensor(method, tensors, seed=1, **own)
    torch.rand(3)  # whatever is drawn elsewhere changes nothing
    assert torch.equal(one, one_tensor(method, tensors, seed=1, **own))
    assert not torch.equal(one, one_tensor(method, tensors, seed=2, **own))
    assert not torch.equal(one, one_tensor(method, tensors, LINEAR.replace("1", "0"), seed=1, **own))


def test_inputs_are_left_alone(world: World, models) -> None:
    tensors = three(models)
    before = {key: tensor.clone() for key, tensor in tensors.items()}
    role = {"utility": "utility", "safety": "aligned"}
    for method, own in (
        ("lox", {"role": role}),
        ("safe_lora", {"role": role, "threshold": 1.0}),
        ("dare_svd", {}),
        ("knots", {}),
    ):
        one_tensor(method, tensors, **own)
    assert all(torch.equal(tensors[key], before[key]) for key in tensors)


FAULTS = [
    ("safemerge", {"models.1.role": "utility"}, "method safemerge needs exactly 1 of 'role: utility', got 2"),
    ("agl", {"models.1.role": "utility"}, "method agl needs exactly 1 of 'role: utility', got 2"),
    (
        "mergealign",
        {"models.1.role": "aligned"},
        "mergealign has no 'role: aligned'; it takes utility, safety",
    ),
    (
        "resta",
        {"models.1.role": "safety"},
        "resta has no 'role: safety'; it takes utility, aligned, unaligned",
    ),
    ("lox", {"models.1.role": "utility"}, "method lox needs 0 to 1 of 'role: utility', got 2"),
    ("safe_lora", {"models.0.role": "unaligned"}, "needs exactly 1 of 'role: utility', got 0"),
    ("regmean", {"models.0.fisher": None}, "'sst-mergekit fisher' and name its --out"),
    ("led", {"models.1.fisher_base": None}, "'sst-mergekit fisher' and name its --out"),
    ("agl", {"models.1.fisher": None}, "'sst-mergekit fisher' and name its --out"),
    ("fisher", {"models.1.fisher": "/nowhere/at/all"}, "/nowhere/at/all.*: no such directory"),
]


@pytest.mark.parametrize(("method", "change", "message"), FAULTS)
def test_a_fault_is_named_by_the_check_and_by_the_merge(
    world: World, method: str, change: dict, message: str, tmp_path: Path
) -> None:
    assert_both_say(world, method, change, message, tmp_path)


def test_a_pair_of_two_base_models_is_refused(models) -> None:
    tensors = {"base": models["base"][LINEAR], "utility": models["utility"][LINEAR]}
    with pytest.raises(RecipeError, match="needs 'role: aligned' or 'role: unaligned'.*got neither"):
        one_tensor("lox", tensors, role={"utility": "utility"})


@pytest.mark.parametrize("method", ["fisher", "regmean"])
def test_weights_of_zero_are_refused(world: World, models, method: str) -> None:
    sources = {name: world.path(f"{name}-kronecker") for name in ("utility", "safety")}
    nothing = dict.fromkeys(sources, 0.0)
    with pytest.raises(
        RecipeError, match=r"models: weight: got \[0.0, 0.0\], expected numbers >= 0, not all 0"
    ):
        one_tensor(method, three(models), fisher=sources, weight=nothing)


def test_statistics_of_the_wrong_kind_or_shape_are_refused(world: World, models) -> None:
    sources = {name: world.path(f"{name}-kronecker") for name in ("utility", "safety")}
    with pytest.raises(StatisticsError, match="holds kronecker statistics .*, not 'diagonal'"):
        one_tensor("fisher", three(models), fisher=sources)
    narrow = {key: tensor[:-1] for key, tensor in three(models).items()}
    with pytest.raises(StatisticsError, match=f"{LINEAR}: shape .* belong to another model or vocabulary"):
        one_tensor("regmean", narrow, fisher=sources)


@pytest.mark.parametrize(
    ("method", "name", "value", "message"),
    [
        ("mergealign", "strength", 1.5, "strength: got 1.5, expected a share in"),
        ("resta", "drop", 1.0, "drop: got 1, expected a share in"),
        ("safe_lora", "threshold", 2.0, "threshold: got 2, expected a cosine in"),
        ("lox", "rank", -1, "rank: got -1, expected a whole number >= 0"),
        ("agl", "penalty", -1.0, "penalty: got -1, expected a number >= 0"),
        ("regmean", "off_diagonal", 2.0, "off_diagonal: got 2, expected a share in"),
        ("fisher", "geometry", "kroneker", "geometry: got 'kroneker' .did you mean 'kronecker'"),
        ("mergealign", "interpolation", "cubic", "interpolation: got 'cubic'"),
    ],
)
def test_a_bad_value_is_named(world: World, method, name, value, message, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        merge(world.recipe(method, **{name: value}), tmp_path / "out")
