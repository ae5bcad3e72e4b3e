"""Rules of merge_method sst: roles, contradictions, statistics and tokenizers."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from recipe_world import Raw, World, changed, faults_of, only
from safetensors.torch import load_file, save_file
from tiny import VOCABULARY, tiny_llama, tiny_tokenizer

FAULTS = {
    "role missing": (
        {"models.1.parameters.role": None},
        r"^models\[1\].parameters.role: missing; method sst",
    ),
    "role misspelt": (
        {"models.1.parameters.role": "safty"},
        r"^models\[1\].parameters.role: got 'safty' \(did you mean 'safety'\?\); allowed: utility, safety",
    ),
    "a truth as role": (
        {"models.1.parameters.role": True},
        r"^models\[1\].parameters.role: got True, expected",
    ),
    "roles by layer": (
        {"models.1.parameters.role": ["safety", "utility"]},
        r"^models\[1\].parameters.role: got several values, expected one",
    ),
    "fisher missing": (
        {"models.0.parameters.fisher": None},
        r"^models\[0\].parameters.fisher: missing; measure it with 'sst-mergekit fisher --model .*utility'",
    ),
    "fisher empty": ({"models.0.parameters.fisher": ""}, r"^models\[0\].parameters.fisher: missing"),
    "fisher not there": (
        {"models.0.parameters.fisher": "./gone"},
        r"^models\[0\].parameters.fisher: './gone': no such directory; make it with 'sst-mergekit fisher",
    ),
    "role shared": ({"parameters.role": "safety"}, r"^parameters.role: here it is the same for every model"),
    "fisher shared": (
        {"parameters.fisher": "./x"},
        r"^parameters.fisher: here it is the same for every model",
    ),
    "strength at a model": (
        {"models.1.parameters.strength": 1},
        r"^models\[1\].parameters.strength: is the same for all models; move",
    ),
    "parameter misspelt": (
        {"parameters.strenght": 1},
        r"^parameters.strenght: unknown parameter of sst, would be ignored \(did you mean 'strength'\?\)",
    ),
    "cost": ({"parameters.cost": -1}, r"^parameters.cost: got -1, expected a number >= 0$"),
    "density": ({"parameters.density": 0}, r"^parameters.density: got 0, expected a share in \(0, 1\]$"),
    "seed": ({"parameters.seed": 1.5}, r"^parameters.seed: got 1.5, expected a valid integer"),
    "gradient of seeds": (
        {"parameters.seed": [0, 3, 4.5]},
        r"^parameters.seed\[2\]: got 4.5, expected a valid integer",
    ),
    "gradient of names": (
        {"parameters.filter": ["soft"]},
        r"^parameters.filter\[0\]: a list is a gradient over the layers, which only numbers have",
    ),
    "geometry misspelt": (
        {"parameters.geometry": "kroneker"},
        r"^parameters.geometry: got 'kroneker' \(did you mean 'kronecker'\?\)",
    ),
    "strength of interpolation": (
        {"parameters.patch": "interpolate", "parameters.strength": [0.5, 1.5]},
        r"^parameters.strength\[1\]: got 1.5, expected 0 to 1 with 'patch: interpolate'",
    ),
    "slices": (
        {"slices": [{"sources": []}], "models": None},
        r"^slices: statistics are found by .*use models:",
    ),
    "modules": (
        {"modules": {"default": {}}, "models": None},
        r"^modules: statistics are found by .*use models:",
    ),
}


@pytest.mark.parametrize(("changes", "pattern"), FAULTS.values(), ids=FAULTS)
def test_fault_is_named(changes: dict, pattern: str, world: World, tmp_path: Path) -> None:
    lines = [str(fault) for fault in faults_of(changed(world.sst(), changes), tmp_path)]
    assert sum(bool(re.search(pattern, line)) for line in lines) == 1, lines


PASSES = {
    "as it is": {},
    "a gradient of strengths": {"parameters.strength": [0.2, 1.4]},
    "a strength for some tensors": {"parameters.strength": [{"value": 0, "filter": "mlp"}, {"value": 1}]},
    "soft": {"parameters.filter": "soft"},
    "two utility experts": {"models.0.parameters.weight": 0.5},
    "experts of equal standing": {f"models.{i}.parameters.role": "expert" for i in range(2)},
    "interpolation": {"parameters.patch": "interpolate", "parameters.strength": 1.0},
    "the activation geometry on kronecker statistics": {"parameters.geometry": "activation"},
    "the base's tokenizer": {"tokenizer": {"source": "base"}},
    "a union of equal tokenizers": {"tokenizer_source": "union"},
}


@pytest.mark.parametrize("changes", PASSES.values(), ids=PASSES)
def test_recipe_without_fault_passes(changes: dict, world: World, tmp_path: Path) -> None:
    assert faults_of(changed(world.sst(), changes), tmp_path) == []


def test_adapters_with_their_statistics_pass(world: World, tmp_path: Path) -> None:
    assert faults_of(world.lora(), tmp_path, lora_merge_cache=tmp_path / "cache") == []


def test_roles_that_do_not_go_together(world: World, tmp_path: Path) -> None:
    recipe = changed(world.sst(), {"models.0.parameters.role": "safety"})
    only(faults_of(recipe, tmp_path), "^models: got no model of role utility, expected at least one$")
    recipe = changed(world.sst(), {"models.1.parameters.role": "utility"})
    only(faults_of(recipe, tmp_path), "^models: got no model of role safety, expected at least one$")
    recipe = changed(world.sst(), {"models.1.parameters.role": "expert"})
    only(faults_of(recipe, tmp_path), "^models: role expert is for every model or for none")


def test_no_statistics_are_needed_without_data(world: World, tmp_path: Path) -> None:
    bare = {f"models.{i}.parameters.fisher": None for i in range(2)}
    recipe = changed(world.sst(), {**bare, "parameters.filter": "data_free"})
    assert faults_of(recipe, tmp_path) == []
    assert len(faults_of(changed(recipe, {"parameters.filter": "soft"}), tmp_path)) == 2


def test_base_model_as_expert_is_refused(world: World, tmp_path: Path) -> None:
    recipe = world.sst()
    recipe["models"].append({"model": world.path("base"), "parameters": {"role": "safety"}})
    only(faults_of(recipe, tmp_path), r"^models\[2\].parameters.role: models\[2\] is the base model")
    del recipe["models"][2]["parameters"]
    assert faults_of(recipe, tmp_path) == []
    for other in (f"{world.path('base')}/", str(shutil.copytree(world.path("base"), tmp_path / "copy"))):
        recipe = changed(world.sst(), {"models.0.model": other})
        lines = [str(fault) for fault in faults_of(recipe, tmp_path)]
        assert any(re.search(r"^models\[0\].model: '.*' is base_model itself", line) for line in lines), lines


def test_swapped_statistics_are_found(world: World, tmp_path: Path) -> None:
    for recipe, names in ((world.sst(), ("utility", "safety")), (world.lora(), ("skill", "guard"))):
        harm, benign = (item["parameters"]["fisher"] for item in recipe["models"])
        swap = {"models.0.parameters.fisher": benign, "models.1.parameters.fisher": harm}
        faults = faults_of(changed(recipe, swap), tmp_path, lora_merge_cache=tmp_path / "cache")
        assert [fault.where for fault in faults] == [f"models[{i}].parameters.fisher" for i in (0, 1)]
        expected = rf"{names[1]} is of '.*{names[1]}', not of '.*{names[0]}'; they are those of models\[1\]"
        assert re.search(expected, faults[0].what)


def test_statistics_of_another_model_are_refused(copies: World, tmp_path: Path) -> None:
    path = copies.root / "safety" / "model.safetensors"
    tensors = load_file(path)
    tensors["lm_head.weight"] += 1
    save_file(tensors, path, {"format": "pt"})
    expected = r"^models\[1\].parameters.fisher: .*fisher-safety is of '.*safety', not of .*; measure again$"
    only(faults_of(copies.sst(), tmp_path), expected)


def test_statistics_are_known_by_weights_not_by_path(copies: World, tmp_path: Path) -> None:
    moved = str((copies.root / "safety").rename(tmp_path / "moved"))
    assert faults_of(changed(copies.sst(), {"models.1.model": moved}), tmp_path) == []


def test_ids_are_compared_where_weights_cannot_be(copies: World, tmp_path: Path) -> None:
    edit_manifest(copies, model={"id": "user/safety", "revision": None, "weights": None})
    assert faults_of(copies.sst(), tmp_path) == []  # a Hub id and a path: nothing is certain
    recipe = changed(copies.sst(), {"models.1.model": "user/safety"})
    assert faults_of(recipe, tmp_path) == []
    recipe = changed(copies.sst(), {"models.1.model": "user/other"})
    only(
        faults_of(recipe, tmp_path),
        r"^models\[1\].parameters.fisher: .* is of 'user/safety', not of 'user/other'",
    )


def test_folded_adapter_cannot_be_compared(world: World, tmp_path: Path) -> None:
    recipe = changed(world.sst(), {"models.1.parameters.fisher": world.path("fisher-guard")})
    expected = r"^models\[1\].parameters.fisher: .* was measured on '.*base\+.*guard', one a folded adapter"
    only(faults_of(recipe, tmp_path), expected, warning=True)


def edit_manifest(world: World, **changes: object) -> None:
    path = world.root / "fisher-safety" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_statistics_of_another_kind_are_refused(world: World, tmp_path: Path) -> None:
    recipe = changed(world.sst(), {"models.1.parameters.fisher": world.path("fisher-activation")})
    expected = r"^models\[1\].parameters.fisher: .*fisher-activation holds activation statistics; geometry "
    expected += r"kronecker needs 'output' of lm_head.weight and 15 more; measure with --kind kronecker or"
    only(faults_of(recipe, tmp_path), expected)
    assert faults_of(changed(recipe, {"parameters.geometry": "activation"}), tmp_path) == []


def test_factors_of_different_forms_are_refused(copies: World, tmp_path: Path) -> None:
    edit_manifest(copies, form={"factors": "token"})
    expected = r"^models\[1\].parameters.fisher: .*fisher-safety holds factors of form 'token', .*utility of "
    expected += r"form 'sequence'; measure again with 'sst-mergekit fisher --factors sequence'$"
    only(faults_of(copies.sst(), tmp_path), expected)
    edit_manifest(copies, form={"factors": "sequence"}, labels="sampled")
    assert faults_of(copies.sst(), tmp_path) == []


def test_statistics_of_another_shape_are_refused(copies: World, tmp_path: Path) -> None:
    path = copies.root / "fisher-safety" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["layers"]["model.embed_tokens.weight"]["shape"] = [16, 40]
    manifest["layers"]["lm_head.weight"]["shape"] = [40, 16]
    path.write_text(json.dumps(manifest))
    expected = (
        r"statistics of another shape for lm_head.weight and 1 more: \[40, 16\], the model's tensor is "
    )
    only(faults_of(copies.sst(), tmp_path), expected + r"\[32, 16\]")


def test_statistics_of_another_architecture_are_refused(copies: World, tmp_path: Path) -> None:
    path = copies.root / "fisher-safety" / "manifest.json"
    path.write_text(path.read_text().replace('"model.layers', '"h').replace("model.embed", "wt"))
    path.write_text(path.read_text().replace('"lm_head.weight": {', '"head.weight": {'))
    lines = [str(fault) for fault in faults_of(copies.sst(), tmp_path)]
    assert any(re.search(r"fisher-safety is of another architecture \(.*\); measure", line) for line in lines)


DAMAGE = {
    "no manifest": (
        lambda path: (path / "manifest.json").unlink(),
        "manifest.json: not found; make statistics",
    ),
    "no JSON": (lambda path: (path / "manifest.json").write_text("{"), "manifest.json: not valid JSON"),
    "another format": (
        lambda path: (path / "manifest.json").write_text("{}"),
        "manifest.json: not a manifest",
    ),
    "no file": (
        lambda path: next(path.glob("*.safetensors")).unlink(),
        "lacks statistics-00001-of-00001.safetensors; copy it again",
    ),
    "a damaged file": (
        lambda path: next(path.glob("*.safetensors")).write_bytes(b"\xff" * 9),
        "safetensors: not a readable safetensors file",
    ),
    "an emptied file": (
        lambda path: save_file({"x": torch.zeros(1)}, next(path.glob("*.safetensors"))),
        r"has no tensor lm_head.weight.input and \d+ more; measure again",
    ),
}


@pytest.mark.parametrize(("damage", "pattern"), DAMAGE.values(), ids=DAMAGE)
def test_statistics_that_cannot_be_read(damage, pattern: str, copies: World, tmp_path: Path) -> None:
    damage(copies.root / "fisher-safety")
    only(faults_of(copies.sst(), tmp_path), r"^models\[1\].parameters.fisher: .*" + pattern)


def test_statistics_on_the_hub_are_a_warning(world: World, tmp_path: Path) -> None:
    recipe = changed(world.sst(), {"models.1.parameters.fisher": "user/statistics"})
    only(faults_of(recipe, tmp_path), "'user/statistics' is not on this machine yet", warning=True)


def with_norm(copies: World, name: str) -> Raw:
    """Return the recipe after a norm of one model has changed, and the statistics know the new weights."""
    from sst_mergekit.statistics.fingerprint import identity

    path = copies.root / name / "model.safetensors"
    tensors = load_file(path)
    tensors["model.norm.weight"] *= 2
    save_file(tensors, path, {"format": "pt"})
    manifest = copies.root / f"fisher-{name}" / "manifest.json"
    known = json.loads(manifest.read_text()) | {"model": identity(str(copies.root / name), None)}
    manifest.write_text(json.dumps(known))
    return copies.sst()


def test_changed_tensors_without_statistics_are_refused(copies: World, tmp_path: Path) -> None:
    recipe = with_norm(copies, "safety")
    expected = (
        r"^models\[1\].model: the patch changes model.norm.weight, without statistics in .*fisher-safety "
    )
    expected += r"\(not a measured linear layer\); set 'parameters.on_missing: add' .* or 'keep'"
    only(faults_of(recipe, tmp_path), expected)
    assert faults_of(changed(recipe, {"parameters.on_missing": "keep"}), tmp_path) == []


def test_utility_experts_own_changes_need_no_statistics(copies: World, tmp_path: Path) -> None:
    recipe = with_norm(copies, "utility")
    assert faults_of(recipe, tmp_path) == []
    interpolated = changed(recipe, {"parameters.patch": "interpolate"})
    only(faults_of(interpolated, tmp_path), "the patch changes model.norm.weight")


def test_adapted_layers_without_statistics_are_refused(copies: World, tmp_path: Path) -> None:
    path = copies.root / "fisher-guard" / "manifest.json"
    manifest = json.loads(path.read_text())
    name = "model.layers.1.self_attn.q_proj.weight"
    del manifest["layers"][name]
    manifest["skipped"][name] = "quantised (torch.int8)"
    path.write_text(json.dumps(manifest))
    faults = faults_of(copies.lora(), tmp_path, lora_merge_cache=tmp_path / "cache")
    only(
        faults, rf"^models\[1\].model: the patch changes {name}, without .*\(quantised \(torch.int8\)\); set"
    )


def test_tokenizer_that_changes_the_vocabulary_is_refused(copies: World, tmp_path: Path) -> None:
    tiny_tokenizer(copies.root / "safety", [*VOCABULARY, "new", "words"])
    recipe = copies.sst()
    assert faults_of(recipe, tmp_path) == []
    expected = "would change the embeddings from 32 rows to {}; statistics do not follow; remove "
    for key, setting, rows in (
        ("tokenizer_source", "union", 34),
        ("tokenizer_source", copies.path("safety"), 34),
        ("tokenizer", {"pad_to_multiple_of": 16}, 48),
        ("tokenizer", {"source": "base", "tokens": {"w1": {}, "<new>": {}}}, 33),
    ):
        only(faults_of(recipe | {key: setting}, tmp_path), f"^{key}: " + expected.format(rows) + key)
    assert faults_of(recipe | {"tokenizer_source": "base"}, tmp_path) == []


def test_tokenizer_that_re_orders_the_vocabulary_is_refused(copies: World, tmp_path: Path) -> None:
    tiny_tokenizer(copies.root / "safety", [*VOCABULARY[:-2], VOCABULARY[-1], VOCABULARY[-2]])
    recipe = copies.sst() | {"tokenizer_source": copies.path("safety")}
    only(faults_of(recipe, tmp_path), "^tokenizer_source: would re-order the rows")


def test_padded_embeddings_would_be_cut_by_the_base_tokenizer(tmp_path: Path, world: World) -> None:
    padded = tiny_llama(tmp_path / "padded", 0, vocab_size=48)
    recipe = changed(world.sst(), {"base_model": str(padded), "tokenizer_source": "base"})
    lines = [str(fault) for fault in faults_of(recipe, tmp_path)]
    assert any("tokenizer_source: would change the embeddings from 48 rows to 32" in line for line in lines)
