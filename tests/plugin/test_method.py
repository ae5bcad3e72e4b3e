"""The method through mergekit's own calling convention: exactness, laws and errors."""

import pytest
import torch
from fake_statistics import IN, NAME, OUT, edit, seal, write_statistics
from mergekit.merge_methods.base import TensorGroup

from sst_mergekit.core.filtering import filter_patch
from sst_mergekit.core.geometries import GEOMETRIES
from sst_mergekit.core.geometry import balance
from sst_mergekit.core.settings import DEFAULTS, FilterSettings
from sst_mergekit.errors import RecipeError, StatisticsError
from sst_mergekit.plugin.method import sst
from sst_mergekit.statistics.store import open_statistics

GEOMETRY_NAMES = list(GEOMETRIES)


def merge(tensors: dict, fisher: dict, role: dict | None = None, name: str = NAME, **parameters):
    """Merge {id: tensor}, the first being the base."""
    ids = list(tensors)
    group = TensorGroup.from_tensors(list(tensors.values()), ids=ids, base_index=0, name=name)
    role = role or {key: "utility" if key == "u" else "safety" for key in ids[1:]}
    return sst([group], parameters={"role": role, "fisher": fisher, **parameters})[0]


@pytest.fixture
def setting(experts, fisher):
    return dict(zip(("0", "u", "s"), experts, strict=True)), {"u": fisher[0], "s": fisher[1]}


@pytest.mark.parametrize("geometry", GEOMETRY_NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_strength_zero_gives_the_utility_expert_bit_for_bit(setting, geometry, dtype):
    tensors, fisher = setting
    tensors = {key: tensor.to(dtype) for key, tensor in tensors.items()}
    tensors["u"][0, 0] = -0.0
    merged = merge(tensors, fisher, strength=0.0, geometry=geometry)
    assert merged.dtype == dtype
    assert torch.equal(merged.view(torch.uint8), tensors["u"].view(torch.uint8))


@pytest.mark.parametrize("geometry", GEOMETRY_NAMES)
def test_an_empty_patch_gives_the_utility_expert_bit_for_bit(setting, geometry):
    tensors, fisher = setting
    tensors["s"] = tensors["0"].clone()
    assert torch.equal(merge(tensors, fisher, geometry=geometry), tensors["u"])


@pytest.mark.parametrize("geometry", GEOMETRY_NAMES)
@pytest.mark.parametrize("name", ["separable", "soft"])
def test_no_cost_is_task_arithmetic(setting, geometry, name):
    from mergekit.merge_methods import registry

    tensors, fisher = setting
    ids = list(tensors)
    group = TensorGroup.from_tensors(list(tensors.values()), ids=ids, base_index=0, name=NAME)
    expected = registry.get("task_arithmetic")([group], parameters={"weight": {"u": 1.0, "s": 0.7}})[0]
    choice = {"geometry": geometry, "filter": name, "strength": 0.7}
    torch.testing.assert_close(merge(tensors, fisher, cost=0.0, **choice), expected)
    torch.testing.assert_close(merge(tensors, fisher, cost=1e-12, **choice), expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(merge(tensors, fisher, cost=1.0, **choice), expected, atol=1e-2)


@pytest.mark.parametrize("geometry", GEOMETRY_NAMES)
@pytest.mark.parametrize("name", ["separable", "soft", "hard", "shuffled"])
def test_equals_the_core_function_on_the_patch(setting, geometry, name):
    """One layer, so both global shares are 1 and kappa is 1."""
    tensors, fisher = setting
    chosen = GEOMETRIES[geometry]
    stores = [open_statistics(fisher[key]) for key in ("s", "u")]
    harm, benign = (store.tensors(store.find(NAME), chosen.needs) for store in stores)
    patch = tensors["s"] - tensors["0"]
    choice = FilterSettings(filter=name, cost=0.2, density=0.4, damping=0.05)
    if name != "shuffled":
        expected = tensors["u"] + 0.6 * filter_patch(chosen, patch, harm, benign, 1.0, choice)
        merged = merge(
            tensors, fisher, geometry=geometry, filter=name, cost=0.2, density=0.4, damping=0.05, strength=0.6
        )
        torch.testing.assert_close(merged, expected.float())
    else:
        one = merge(tensors, fisher, geometry=geometry, filter=name, seed=1)
        assert torch.equal(one, merge(tensors, fisher, geometry=geometry, filter=name, seed=1))
        assert not torch.equal(one, merge(tensors, fisher, geometry=geometry, filter=name, seed=2))


def test_defaults_are_the_settings(setting):
    tensors, fisher = setting
    spelled = {
        "geometry": "kronecker",
        "filter": DEFAULTS.filter,
        "cost": DEFAULTS.cost,
        "damping": DEFAULTS.damping,
        "strength": 1.0,
        "patch": "add",
    }
    assert torch.equal(merge(tensors, fisher), merge(tensors, fisher, **spelled))


def test_interpolation_without_cost_slides_from_utility_to_safety(setting):
    tensors, fisher = setting
    for strength in (0.25, 1.0):
        merged = merge(tensors, fisher, cost=0.0, patch="interpolate", strength=strength)
        torch.testing.assert_close(merged, torch.lerp(tensors["u"], tensors["s"], strength))


def test_order_of_models_does_not_matter(experts, fisher, tmp_path):
    base, utility, first = experts
    second = base + 0.1 * torch.randn(OUT, IN, generator=torch.Generator().manual_seed(9))
    third = base + 0.1 * torch.randn(OUT, IN, generator=torch.Generator().manual_seed(10))
    sources = {"u": fisher[0], "a": fisher[1], "b": write_statistics(tmp_path / "b", 5), "c": fisher[1]}
    tensors = {"0": base, "u": utility, "a": first, "b": second, "c": third}
    one = merge(tensors, sources)
    other = merge({key: tensors[key] for key in ("0", "c", "b", "u", "a")}, sources)
    assert torch.equal(one, other)


def test_filtered_patches_of_several_safety_experts_add_up(experts, fisher):
    base, utility, safety = experts
    sources = {"u": fisher[0], "a": fisher[1], "b": fisher[1]}
    both = merge({"0": base, "u": utility, "a": safety, "b": safety}, sources, strength=0.5)
    once = merge({"0": base, "u": utility, "a": safety}, sources, strength=1.0)
    torch.testing.assert_close(both, once)


@pytest.mark.parametrize("geometry", GEOMETRY_NAMES)
def test_weights_stored_transposed_give_the_transposed_merge(experts, tmp_path, geometry):
    plain = {
        "u": write_statistics(tmp_path / "u", 1, "h.0.attn.c_attn.weight"),
        "s": write_statistics(tmp_path / "s", 2, "h.0.attn.c_attn.weight"),
    }
    turned = {
        "u": write_statistics(tmp_path / "ut", 1, "transformer.h.0.attn.c_attn.weight", transposed=True),
        "s": write_statistics(tmp_path / "st", 2, "transformer.h.0.attn.c_attn.weight", transposed=True),
    }
    tensors = dict(zip(("0", "u", "s"), experts, strict=True))
    expected = merge(tensors, plain, name="h.0.attn.c_attn.weight", geometry=geometry)
    stored = {key: tensor.T.contiguous() for key, tensor in tensors.items()}
    merged = merge(stored, turned, name="h.0.attn.c_attn.weight", geometry=geometry)
    torch.testing.assert_close(merged, expected.T)


def test_inputs_are_left_alone(setting):
    tensors, fisher = setting
    before = {key: tensor.clone() for key, tensor in tensors.items()}
    merge(tensors, fisher)
    assert all(torch.equal(tensors[key], before[key]) for key in tensors)


def test_bfloat16_inputs_are_filtered_in_higher_precision(setting):
    tensors, fisher = setting
    low = {key: tensor.bfloat16() for key, tensor in tensors.items()}
    high = {key: tensor.float() for key, tensor in low.items()}
    merged = merge(low, fisher)
    assert merged.dtype == torch.bfloat16
    assert torch.equal(merged, merge(high, fisher).bfloat16())


def test_balance_uses_each_layers_share_of_the_whole(tmp_path, experts):
    """Two layers: the layer's kappa is the ratio of its shares, and it changes the merge."""
    import json
    from pathlib import Path

    sources = {"u": write_statistics(tmp_path / "u", 1), "s": write_statistics(tmp_path / "s", 2)}
    for key, factor in (("u", 3.0), ("s", 1.0)):
        path = Path(sources[key]) / "manifest.json"
        body = json.loads(path.read_text())
        twin = json.loads(json.dumps(body["layers"][NAME]))
        twin["traces"]["input"] *= factor
        body["layers"]["model.layers.1.mlp.up_proj.weight"] = twin
        path.write_text(json.dumps(body))
    tensors = dict(zip(("0", "u", "s"), experts, strict=True))
    stores = [open_statistics(sources[key]) for key in ("s", "u")]
    chosen = GEOMETRIES["kronecker"]
    harm, benign = (store.tensors(store.find(NAME), chosen.needs) for store in stores)
    kappa = balance(1, 2, 1, 4)
    assert kappa == pytest.approx(2.0)
    patch = tensors["s"] - tensors["0"]
    expected = tensors["u"] + filter_patch(chosen, patch, harm, benign, kappa, DEFAULTS).float()
    torch.testing.assert_close(merge(tensors, sources), expected)


def test_a_tensor_without_statistics_is_an_error_or_kept(experts, fisher):
    tensors = dict(zip(("0", "u", "s"), experts, strict=True))
    sources = {"u": fisher[0], "s": fisher[1]}
    with pytest.raises(
        StatisticsError, match="model.norm.weight: the patch changes it .*'on_missing: add' .*'keep'"
    ):
        merge(tensors, sources, name="model.norm.weight")
    kept = merge(tensors, sources, name="model.norm.weight", on_missing="keep")
    assert torch.equal(kept, tensors["u"])


def test_a_tensor_the_patch_does_not_change_needs_no_statistics(experts, fisher):
    tensors = {"0": experts[0], "u": experts[1], "s": experts[0].clone()}
    merged = merge(tensors, {"u": fisher[0], "s": fisher[1]}, name="model.norm.weight")
    assert torch.equal(merged, experts[1])


NO_PAIR = "at least one 'role: utility' and one 'role: safety'"


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (
            {"role": {"u": "utility", "s": "utility"}},
            RecipeError,
            NO_PAIR,
        ),
        (
            {"role": {"u": "safety", "s": "safety"}},
            RecipeError,
            NO_PAIR,
        ),
        ({"role": {"u": "utility", "s": "expert"}}, RecipeError, "or 'role: expert' for every model"),
        ({"weight": {"u": 0.0, "s": 1.0}}, StatisticsError, "every expert's weight is 0"),
        ({"weight": {"u": -1.0, "s": 1.0}}, ValueError, "weight: got -1, expected a number >= 0"),
        ({"balance": "local"}, ValueError, "balance: got 'local'"),
        ({"layer_weight": 0.0}, ValueError, "layer_weight: got 0, expected a number > 0"),
        ({"role": {"u": "utilty", "s": "safety"}}, ValueError, "role: got 'utilty' .did you mean 'utility'"),
        ({"geometry": "kronecker "}, ValueError, "geometry: got 'kronecker '"),
        ({"filter": "sofd"}, ValueError, "filter: got 'sofd' .did you mean 'soft'"),
        ({"strength": -1.0}, ValueError, "strength: got -1, expected a number >= 0"),
        ({"strength": float("nan")}, ValueError, "strength: got nan"),
        ({"cost": -0.1}, ValueError, "cost: got -0.1"),
        ({"damping": -0.1}, ValueError, "damping: got -0.1"),
        ({"density": 0.0}, ValueError, r"density: got 0, expected a share in \(0, 1\]"),
        ({"patch": "interpolate", "strength": 1.5}, RecipeError, "strength: got 1.5, expected 0 to 1"),
        ({"fisher": {"u": "", "s": ""}}, RecipeError, "has no 'parameters.fisher'"),
        ({"fisher": {"u": "./nowhere", "s": "./nowhere"}}, StatisticsError, "./nowhere: no such directory"),
    ],
)
def test_faults_name_the_key(setting, change, error, text):
    tensors, fisher = setting
    parameters = {"fisher": fisher} | change
    with pytest.raises(error, match=text):
        merge(tensors, **parameters)


def test_statistics_of_another_shape_are_refused(experts, tmp_path):
    tensors = dict(zip(("0", "u", "s"), experts, strict=True))
    sources = {
        "u": write_statistics(tmp_path / "u", 1),
        "s": write_statistics(tmp_path / "s", 2, shape=(OUT, IN + 1)),
    }
    with pytest.raises(StatisticsError, match=r"shape \[6, 5\], but the statistics .* are of \[6, 6\]"):
        merge(tensors, sources)


def test_statistics_of_another_kind_are_refused(setting):
    import json
    from pathlib import Path

    tensors, fisher = setting
    path = Path(fisher["s"]) / "manifest.json"
    body = json.loads(path.read_text())
    del body["layers"][NAME]["tensors"]["output"]
    path.write_text(json.dumps(body))
    with pytest.raises(StatisticsError, match="geometry 'kronecker' needs 'output'"):
        merge(tensors, fisher)


@pytest.mark.parametrize("count", [2, 4])
def test_factors_of_different_forms_are_refused(setting, tmp_path, count):
    """Also where the others' statistics are pooled by subtraction."""
    tensors, fisher = setting
    for number in range(count - 2):
        tensors[f"e{number}"] = tensors["s"] + number + 1
        fisher[f"e{number}"] = write_statistics(tmp_path / f"e{number}", number + 7)
    for key, source in fisher.items():
        edit(source, kind="kronecker", form={"factors": "token" if key == "s" else "sequence"})
    role = dict.fromkeys(fisher, "expert") if count > 2 else None
    asked = (
        r"holds factors of form '\w+', .* of form '\w+'; measure again with 'sst-mergekit fisher --factors "
    )
    with pytest.raises(StatisticsError, match=asked):
        merge(tensors, fisher, role)
    edit(fisher["s"], form={"factors": "sequence"}, labels="sampled")
    assert merge(tensors, fisher, role).isfinite().all()


def test_statistics_of_nothing_are_refused(setting, tmp_path):
    tensors, fisher = setting
    from pathlib import Path

    from safetensors.torch import load_file, save_file

    path = Path(fisher["u"]) / "statistics-00001-of-00001.safetensors"
    empty = {key: torch.zeros_like(tensor) for key, tensor in load_file(path).items()}
    save_file(empty, path)
    seal(fisher["u"])
    with pytest.raises(StatisticsError, match=f"{NAME}: the factor has mean eigenvalue 0"):
        merge(tensors, fisher)
