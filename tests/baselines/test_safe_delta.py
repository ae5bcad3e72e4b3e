"""Safe Delta: naive twins of the choice and of the compensation, laws, and whole merges."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from baselines_world import EMBEDDING, NORM, World, assert_both_say, merge, one_tensor, statistics, three

from sst_mergekit.baselines.safe_delta import (
    BLOCK,
    SIDE,
    compensated,
    inverse_root,
    safe_delta,
    selected,
)
from sst_mergekit.errors import RecipeError, StatisticsError
from sst_mergekit.recipe.check import check_recipe

OUT, IN = 5, 9
ROLE = {"utility": "utility", "safety": "aligned"}


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def moment(seed: int, n: int = IN) -> torch.Tensor:
    x = drawn(seed, 3 * n, n)
    return x.T @ x / (3 * n)


def damped(h: torch.Tensor, damping: float) -> torch.Tensor:
    return h + damping * h.diagonal().mean() * torch.eye(len(h), dtype=h.dtype)


def naive(tuned, aligned, h, budget, unit, density, damping) -> torch.Tensor:
    """Entry by entry, each inverse computed anew."""
    h = damped(h, damping)
    rows, columns = tuned.shape
    inverses = [torch.linalg.inv(h[j:, j:]) for j in range(columns)]
    price = [1 / float(inverse[0, 0]) for inverse in inverses]
    delta = tuned - aligned
    entries = sorted((price[j], j, i) for j in range(columns) for i in range(rows))
    error = {(i, j): float(delta[i, j]) ** 2 * price[j] for _, j, i in entries}
    limit = sum(error.values()) if unit == "share" else sum(price) / columns * rows * columns / 4096**2
    kept, spent = set(), 0.0
    for number, (_, j, i) in enumerate(entries):
        spent += error[i, j]
        if number < density * rows * columns and spent <= budget * limit * (1 + 1e-12):
            kept.add((i, j))
    result = aligned.clone()
    for i in range(rows):
        for j in range(columns):
            if (i, j) in kept:
                change = result[i, j] - tuned[i, j]
                result[i, j:] -= change / inverses[j][0, 0] * inverses[j][0]
                result[i, j] = tuned[i, j]
    return result


@pytest.mark.parametrize(
    ("budget", "unit", "density"),
    [
        (0.3, "share", 1.0),
        (0.7, "share", 0.6),
        (1.0, "share", 0.85),
        (2e6, "absolute", 1.0),
        (6e6, "absolute", 0.7),
    ],
)
def test_is_the_naive_formula(budget: float, unit: str, density: float) -> None:
    aligned, tuned, h = drawn(1, OUT, IN), drawn(2, OUT, IN), moment(3)
    got = safe_delta(tuned, aligned, h, budget, unit, density, 0.02)
    expected = naive(tuned, aligned, h, budget, unit, density, 0.02)
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)
    taken = torch.isclose(got, tuned, rtol=0, atol=0)
    assert 0 < int(taken.sum()) < taken.numel()


def test_more_columns_than_a_block_are_the_naive_formula_too() -> None:
    wide = BLOCK + 7
    aligned, tuned, h = drawn(1, 2, wide), drawn(2, 2, wide), moment(3, wide)
    got = safe_delta(tuned, aligned, h, 0.4, "share", 0.85, 0.01)
    expected = naive(tuned, aligned, h, 0.4, "share", 0.85, 0.01)
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)


def test_the_root_gives_the_inverse() -> None:
    h = moment(0)
    root = inverse_root(h, 0.1)
    assert torch.equal(root, root.triu())
    torch.testing.assert_close(root.T @ root, torch.linalg.inv(damped(h, 0.1)))
    counts = torch.tensor([3.0, 1.0, 0.5])
    torch.testing.assert_close(
        inverse_root(counts, 0.1).square(), 1 / (counts.double() + 0.1 * counts.double().mean())
    )


def test_entries_are_kept_from_the_least_sensitive_column_on_within_budget_and_density() -> None:
    delta, scale = torch.ones(2, 3, dtype=torch.float64), torch.tensor([0.5, 2.0, 1.0], dtype=torch.float64)
    errors = torch.tensor([4.0, 0.25, 1.0]).double().expand(2, 3)  # 10.5 in all
    for spent, expected in (
        (0.0, [[0, 0, 0], [0, 0, 0]]),
        (0.25, [[0, 1, 0], [0, 0, 0]]),
        (1.6, [[0, 1, 1], [0, 1, 0]]),
        (10.5, [[1, 1, 1], [1, 1, 1]]),
    ):
        mask = selected(delta, scale, spent / 10.5, "share", 1.0)
        assert mask.int().tolist() == expected
        assert float(errors[mask].sum()) <= spent + 1e-12
        absolute = selected(delta, scale, spent / (5.25 / 3 * 6 / SIDE**2) * (1 + 1e-12), "absolute", 1.0)
        assert torch.equal(absolute, mask)
    assert selected(delta, scale, 9.0, "share", 0.5).int().tolist() == [[0, 1, 1], [0, 1, 0]]


def test_kept_columns_at_the_left_are_compensated_as_the_optimal_brain_surgeon_does() -> None:
    """The rest of the row minimises the error on safety data, given the kept entries."""
    aligned, tuned, h = drawn(1, OUT, IN), drawn(2, OUT, IN), moment(3)
    kept = torch.zeros(OUT, IN, dtype=torch.bool)
    kept[:, :4] = True
    merged = compensated(aligned, tuned, kept, inverse_root(h, 0.0))
    change = tuned[:, :4] - aligned[:, :4]
    best = -change @ h[:4, 4:] @ torch.linalg.inv(h[4:, 4:])
    torch.testing.assert_close(merged, torch.cat([tuned[:, :4], aligned[:, 4:] + best], 1))
    move, plain = merged - aligned, torch.where(kept, tuned - aligned, 0)
    assert float((move @ h * move).sum()) < float((plain @ h * plain).sum())


def test_inputs_that_share_nothing_need_no_compensation() -> None:
    aligned, tuned, h = drawn(1, OUT, IN), drawn(2, OUT, IN), torch.rand(IN).double() + 0.1
    dense = safe_delta(tuned, aligned, torch.diag(h), 0.5, "share")
    torch.testing.assert_close(dense, safe_delta(tuned, aligned, h, 0.5, "share"))
    assert bool(((dense == tuned) | (dense == aligned)).all())


@pytest.mark.parametrize("unit", ["share", "absolute"])
def test_the_unit_of_the_statistics_does_not_matter_and_a_larger_budget_keeps_more(unit: str) -> None:
    aligned, tuned, h = drawn(1, OUT, IN), drawn(2, OUT, IN), moment(3)
    scale = inverse_root(h).diagonal()
    factor = 1.0 if unit == "share" else 8e6
    counts = [int(selected(tuned - aligned, scale, b * factor, unit, 1.0).sum()) for b in (0.1, 0.4, 0.9)]
    assert counts == sorted(set(counts))
    one, other = (safe_delta(tuned, aligned, k * h, 0.4 * factor, unit) for k in (1.0, 16.0))
    torch.testing.assert_close(one, other)


def test_no_budget_is_the_aligned_model_and_all_of_it_the_tuned_one() -> None:
    aligned, tuned, h = drawn(1, OUT, IN), drawn(2, OUT, IN), moment(3)
    assert torch.equal(safe_delta(tuned, aligned, h, 0.0), aligned)
    assert torch.equal(safe_delta(tuned, aligned, h, 1.0, "share", 1.0), tuned)
    assert torch.equal(safe_delta(aligned, aligned, h, 0.5), aligned)


def test_statistics_that_do_not_serve_are_refused() -> None:
    w = drawn(1, OUT, IN)
    with pytest.raises(ValueError, match="mean eigenvalue 0; expected finite and > 0"):
        safe_delta(w, w + 1, torch.zeros(IN, IN))
    with pytest.raises(ValueError, match="rank deficient; set damping above 0"):
        safe_delta(w, w + 1, torch.ones(IN, IN), damping=0.0)
    with pytest.raises(ValueError, match="an input never occurs; set 'damping' above 0"):
        safe_delta(w, w + 1, torch.eye(IN)[0], damping=0.0)


def test_the_aligned_models_statistics_are_read(world: World, models) -> None:
    tensors = three(models)
    fisher = {"utility": "", "safety": world.path("safety-activation")}
    own = {"budget": 0.4, "unit": "share", "density": 0.9, "damping": 0.05}
    merged = one_tensor("safe_delta", tensors, role=ROLE, fisher=fisher, **own)
    seen = statistics(world, "safety-activation")["input"]
    expected = safe_delta(tensors["utility"], tensors["safety"], seen, *own.values())
    torch.testing.assert_close(merged, expected.float())
    other = {"base": tensors["safety"], "utility": tensors["utility"], "safety": tensors["safety"]}
    assert torch.equal(one_tensor("safe_delta", other, role=ROLE, fisher=fisher, **own), merged)


def test_an_embedding_is_chosen_by_its_tokens(world: World, models) -> None:
    tensors = three(models, EMBEDDING)
    fisher = {"utility": "", "safety": world.path("safety-activation")}
    own = {"budget": 1e9, "density": 0.5}
    merged = one_tensor("safe_delta", tensors, EMBEDDING, role=ROLE, fisher=fisher, **own)
    unseen = statistics(world, "safety-activation", EMBEDDING)["input"] == 0
    assert 0 < int(unseen.sum()) <= 0.5 * len(unseen)
    assert torch.equal(merged[unseen], tensors["utility"][unseen])
    assert bool(((merged == tensors["utility"]) | (merged == tensors["safety"])).all())
    assert not torch.equal(merged, tensors["utility"])


def test_a_tensor_without_statistics_is_an_error_or_one_models(world: World, models) -> None:
    norms = {key: tensor + i for i, (key, tensor) in enumerate(three(models, NORM).items())}
    own = {"role": ROLE, "fisher": {"utility": "", "safety": world.path("safety-activation")}}
    hint = "set 'on_missing: aligned' or 'on_missing: keep'"
    with pytest.raises(StatisticsError, match=f"{NORM}: the models differ .* {hint}"):
        one_tensor("safe_delta", norms, NORM, **own)
    for choice, name in (("keep", "utility"), ("aligned", "safety")):
        assert torch.equal(one_tensor("safe_delta", norms, NORM, on_missing=choice, **own), norms[name])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_ends_are_the_models_bit_for_bit(world: World, models, dtype: torch.dtype) -> None:
    tensors = {key: tensor.to(dtype) for key, tensor in three(models).items()}
    own = {"role": ROLE, "fisher": {"utility": "", "safety": world.path("safety-activation")}}
    for budget, name in ((0.0, "safety"), (1.0, "utility")):
        merged = one_tensor("safe_delta", tensors, budget=budget, unit="share", density=1.0, **own)
        assert merged.dtype == dtype
        assert torch.equal(merged, tensors[name])
    unmeasured = one_tensor("safe_delta", tensors, role=ROLE, budget=0.0)
    assert torch.equal(unmeasured, tensors["safety"])


def test_a_whole_recipe_merges_with_and_without_a_base_model(world: World, tmp_path: Path) -> None:
    recipe = world.recipe("safe_delta", on_missing="aligned")
    with_base = merge(recipe, tmp_path / "one")
    del recipe["base_model"]
    path = tmp_path / "recipe.yml"
    path.write_text(yaml.safe_dump(recipe))
    assert check_recipe(path) == []
    alone = merge(recipe, tmp_path / "other")
    assert all(torch.equal(alone[name], with_base[name]) for name in with_base)


@pytest.mark.parametrize(
    ("model", "name", "value", "message"),
    [
        (1, "role", "safety", "safe_delta has no 'role: safety'; it takes utility, aligned"),
        (1, "role", "utility", "method safe_delta needs exactly 1 of 'role: utility', got 2"),
        (1, "fisher", None, "'sst-mergekit fisher' and name its --out"),
    ],
)
def test_a_fault_is_named_by_the_check_and_by_the_merge(
    world: World, model: int, name: str, value: str | None, message: str, tmp_path: Path
) -> None:
    assert_both_say(world, "safe_delta", {f"models.{model}.{name}": value}, message, tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("budget", -1.0, "budget: got -1, expected a number >= 0"),
        ("unit", "shares", "unit: got 'shares' .did you mean 'share'"),
        ("on_missing", "average", "on_missing: got 'average'.*allowed: error, keep, aligned"),
        ("density", 0.0, "density: got 0, expected a share in"),
    ],
)
def test_a_bad_value_is_named(world: World, name: str, value, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        merge(world.recipe("safe_delta", **{name: value}), tmp_path / "out")


def test_statistics_of_another_kind_are_refused(world: World, models) -> None:
    fisher = {"utility": "", "safety": world.path("safety-diagonal")}
    with pytest.raises(StatisticsError, match="holds diagonal statistics .*, not 'input'"):
        one_tensor("safe_delta", three(models), role=ROLE, fisher=fisher)
    with pytest.raises(RecipeError, match="'safety' has no 'parameters.fisher'"):
        one_tensor("safe_delta", three(models), role=ROLE)
