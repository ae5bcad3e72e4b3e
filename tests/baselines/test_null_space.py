"""The null-space projection: a naive twin, the laws of a projector, and whole merges."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from baselines_world import (
    EMBEDDING,
    LINEAR,
    NORM,
    World,
    assert_both_say,
    merge,
    one_tensor,
    statistics,
    three,
)

from sst_mergekit.baselines.null_space import held, null_space
from sst_mergekit.errors import RecipeError, StatisticsError

OUT, IN = 5, 9
ROLE = {"utility": "utility", "safety": "safety"}


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def inputs(seed: int, rank: int = IN) -> torch.Tensor:
    """Return rows of inputs whose directions differ in strength."""
    return drawn(seed, 40, rank) @ (drawn(seed + 1, rank, IN) * torch.logspace(0, -2, rank).double()[:, None])


def naive(patch: torch.Tensor, moment: torch.Tensor, energy: float) -> torch.Tensor:
    """From an SVD, one direction after the other."""
    vectors, values, _ = torch.linalg.svd(moment)
    left, total, result = 0.0, float(values.sum()), patch.clone()
    for value, v in zip(values.tolist(), vectors.T, strict=True):
        if left >= energy * total:
            break
        result = result - torch.outer(result @ v, v)
        left += value
    return result


@pytest.mark.parametrize("energy", [0.3, 0.9, 0.99])
def test_is_the_naive_formula(energy: float) -> None:
    patch, x = drawn(0, OUT, IN), inputs(1)
    moment = x.T @ x / len(x)
    got = null_space(patch, moment, energy)
    torch.testing.assert_close(got, naive(patch, moment, energy))
    assert not torch.allclose(got, patch)
    assert bool(got.any())


def test_the_fewest_directions_that_hold_the_energy_are_taken() -> None:
    values = torch.tensor([1.0, 5.0, 0.0, 4.0]).double()
    for energy, expected in (
        (0.0, [0, 0, 0, 0]),
        (0.5, [0, 1, 0, 0]),
        (0.51, [0, 1, 0, 1]),
        (0.89, [0, 1, 0, 1]),
        (0.91, [1, 1, 0, 1]),
        (1.0, [1, 1, 0, 1]),
    ):
        assert held(values, energy).int().tolist() == expected, energy
    noise = torch.tensor([1.0, 1e-17, -1e-17]).double()
    assert held(noise, 1.0).tolist() == [True, False, False]


@pytest.mark.parametrize("energy", [0.0, 0.5, 0.95, 1.0])
def test_is_an_orthogonal_projection_whatever_the_unit_of_the_moment(energy: float) -> None:
    x = inputs(1, 6)
    moment = x.T @ x / len(x)
    p = null_space(torch.eye(IN).double(), moment, energy)
    torch.testing.assert_close(p, p.T)
    torch.testing.assert_close(p @ p, p)
    torch.testing.assert_close(p, null_space(torch.eye(IN).double(), 1e4 * moment, energy))
    left = float((x @ p).square().sum() / x.square().sum())  # what the patch still sees of the inputs
    assert left <= 1 - energy + 1e-9


def test_with_all_energy_the_outputs_on_the_protected_inputs_stay() -> None:
    x, patch = inputs(1, 4), drawn(0, OUT, IN)
    kept = null_space(patch, x.T @ x, 1.0)
    torch.testing.assert_close(x @ kept.T, torch.zeros(len(x), OUT).double(), rtol=0, atol=1e-9)
    free = null_space(torch.eye(IN).double(), x.T @ x, 1.0)
    assert int(torch.linalg.matrix_rank(free)) == IN - 4
    torch.testing.assert_close(kept, patch @ free)
    assert torch.equal(null_space(patch, x.T @ x, 0.0), patch)


def test_is_the_limit_of_the_authors_ridge() -> None:
    """``I - Phi^T (Phi Phi^T + lambda I)^-1 Phi`` of few features, lambda to 0."""
    phi, patch = drawn(1, 4, IN), drawn(0, OUT, IN)
    gram = phi @ phi.T + 1e-10 * torch.eye(4).double()
    theirs = patch - patch @ phi.T @ torch.linalg.solve(gram, phi)
    torch.testing.assert_close(null_space(patch, phi.T @ phi, 1.0), theirs, rtol=0, atol=1e-7)


def test_a_low_rank_patch_keeps_its_rank_and_its_left_factor() -> None:
    left, right, x = drawn(2, OUT, 2), drawn(3, 2, IN), inputs(1)
    moment = x.T @ x
    whole = null_space(left @ right, moment, 0.9)
    torch.testing.assert_close(left @ null_space(right, moment, 0.9), whole)
    assert int(torch.linalg.matrix_rank(whole)) == 2


def test_a_diagonal_moment_is_its_matrix() -> None:
    counts, patch = torch.tensor([3.0, 0.0, 1.0, 7.0, 0.5, 0.2, 0.1, 2.0, 0.0]), drawn(0, OUT, IN)
    for energy in (0.6, 0.99, 1.0):
        got = null_space(patch, counts, energy)
        torch.testing.assert_close(got, null_space(patch, torch.diag(counts), energy))
        assert bool(((got == patch) | (got == 0)).all())


def test_statistics_that_do_not_serve_are_refused() -> None:
    with pytest.raises(ValueError, match="mean eigenvalue 0; expected finite and > 0"):
        null_space(drawn(0, OUT, IN), torch.zeros(IN, IN))
    with pytest.raises(ValueError, match="mean eigenvalue nan"):
        null_space(drawn(0, OUT, IN), torch.full((IN,), torch.nan))


def test_the_utility_experts_statistics_are_read(world: World, models) -> None:
    tensors = three(models)
    fisher = {"utility": world.path("utility-activation"), "safety": ""}
    merged = one_tensor("null_space", tensors, role=ROLE, fisher=fisher, energy=0.8, strength=0.5)
    patch = (tensors["safety"] - tensors["base"]).double()
    kept = null_space(patch, statistics(world, "utility-activation")["input"], 0.8)
    torch.testing.assert_close(merged, (tensors["utility"].double() + 0.5 * kept).float())


def test_an_embedding_changes_rows_of_rare_tokens_alone(world: World, models) -> None:
    tensors = three(models, EMBEDDING)
    fisher = {"utility": world.path("utility-activation"), "safety": ""}
    merged = one_tensor("null_space", tensors, EMBEDDING, role=ROLE, fisher=fisher, energy=1.0)
    seen = statistics(world, "utility-activation", EMBEDDING)["input"] > 0
    whole = tensors["utility"].double() + tensors["safety"].double() - tensors["base"].double()
    assert set(seen.tolist()) == {True, False}
    assert torch.equal(merged[seen], tensors["utility"][seen])
    torch.testing.assert_close(merged[~seen], whole[~seen].float())


def test_no_energy_is_task_arithmetic_and_no_strength_the_utility_expert(models) -> None:
    tensors = three(models)
    expected = tensors["utility"] + 0.5 * (tensors["safety"] - tensors["base"])
    merged = one_tensor("null_space", tensors, role=ROLE, energy=0.0, strength=0.5)
    torch.testing.assert_close(merged, expected)
    low = {key: tensor.bfloat16() for key, tensor in tensors.items()}
    assert torch.equal(one_tensor("null_space", low, role=ROLE, strength=0.0), low["utility"])


def test_a_tensor_without_statistics_is_an_error_or_the_utility_experts(world: World, models) -> None:
    norms = {key: tensor + i for i, (key, tensor) in enumerate(three(models, NORM).items())}
    own = {"role": ROLE, "fisher": {"utility": world.path("utility-activation"), "safety": ""}}
    with pytest.raises(StatisticsError, match=f"{NORM}: the models differ .* set 'on_missing: keep'"):
        one_tensor("null_space", norms, NORM, **own)
    assert torch.equal(one_tensor("null_space", norms, NORM, on_missing="keep", **own), norms["utility"])


def test_a_whole_recipe_merges_and_leaves_what_the_safety_expert_does_not_change(
    world: World, models, tmp_path: Path
) -> None:
    recipe = world.recipe("null_space", strength=0.7)
    merged = merge(recipe, tmp_path / "out")
    fisher = {"utility": world.path("utility-activation"), "safety": ""}
    own = {"role": ROLE, "fisher": fisher, "energy": 0.9, "strength": 0.7}
    torch.testing.assert_close(merged[LINEAR], one_tensor("null_space", three(models), **own))
    assert torch.equal(merged[NORM], models["utility"][NORM])


@pytest.mark.parametrize(
    ("model", "name", "value", "message"),
    [
        (1, "role", "aligned", "null_space has no 'role: aligned'; it takes utility, safety"),
        (1, "role", "utility", "method null_space needs exactly 1 of 'role: utility', got 2"),
        (0, "fisher", None, "'sst-mergekit fisher' and name its --out"),
    ],
)
def test_a_fault_is_named_by_the_check_and_by_the_merge(
    world: World, model: int, name: str, value: str | None, message: str, tmp_path: Path
) -> None:
    assert_both_say(world, "null_space", {f"models.{model}.{name}": value}, message, tmp_path, alone=False)


@pytest.mark.parametrize("energy", [-0.1, 1.5])
def test_a_bad_energy_is_named(world: World, energy: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"energy: got {energy:g}, expected a share in"):
        merge(world.recipe("null_space", energy=energy), tmp_path / "out")


def test_statistics_of_another_kind_are_refused(world: World, models) -> None:
    fisher = {"utility": world.path("utility-diagonal"), "safety": ""}
    with pytest.raises(StatisticsError, match="holds diagonal statistics .*, not 'input'"):
        one_tensor("null_space", three(models), role=ROLE, fisher=fisher)
    with pytest.raises(RecipeError, match="'utility' has no 'parameters.fisher'"):
        one_tensor("null_space", three(models), role=ROLE)
