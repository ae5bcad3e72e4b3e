"""Every geometry against its dense twin: the whole Fisher matrix of the layer, written out."""

import functools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sst_mergekit.core import gevp, truncated
from sst_mergekit.core.factor import condition, dense
from sst_mergekit.core.filtering import filter_patch
from sst_mergekit.core.geometries import GEOMETRIES
from sst_mergekit.core.geometry import balance
from sst_mergekit.core.settings import DEFAULTS, FilterSettings

OUT, IN = 4, 5
KAPPA = 1.7


def statistics(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def moment(n):
        rows = torch.randn(3 * n, n, generator=generator)
        return rows.T @ rows

    return {
        "input": moment(IN),
        "output": moment(OUT),
        "diagonal": torch.rand(OUT, IN, generator=generator),
        "scores": torch.randn(30, OUT * IN, generator=generator) * torch.linspace(0.2, 2, OUT * IN),
        **axes(),
    }


def axes() -> dict[str, torch.Tensor]:
    """Complete axes of the layer, no special ones: any invertible P and U will do."""
    generator = torch.Generator().manual_seed(99)
    left, right = (torch.randn(n, n, generator=generator, dtype=torch.float64) for n in (OUT, IN))
    return {"left": torch.linalg.qr(left).Q, "right": torch.linalg.qr(right).Q}


def dense_fisher(geometry: str, stats: dict[str, torch.Tensor], damping: float) -> torch.Tensor:
    """The [OUT * IN, OUT * IN] Fisher of vec(W), row by row."""
    if geometry == "diagonal":
        return torch.diag(condition(stats["diagonal"].flatten(), damping))
    if geometry == "subspace":
        both = torch.kron(stats["left"], stats["right"])
        scores = stats["scores"].double()
        inner = scores.T @ scores
        inner = inner / inner.diagonal().mean() + damping * torch.eye(OUT * IN)
        return both @ inner @ both.T
    right = condition(stats["input"], damping)
    left = condition(stats["output"], damping) if geometry == "kronecker" else torch.eye(OUT).double()
    return torch.kron(left, right)


def patch(seed: int = 7, rank: int | None = None) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    if rank is None:
        return torch.randn(OUT, IN, generator=generator, dtype=torch.float64)
    left = torch.randn(OUT, rank, generator=generator, dtype=torch.float64)
    return left @ torch.randn(rank, IN, generator=generator, dtype=torch.float64)


def run(geometry: str, delta: torch.Tensor, seeds=(0, 1), kappa: float = KAPPA, **choice) -> torch.Tensor:
    harm, benign = statistics(seeds[0]), statistics(seeds[1])
    return filter_patch(GEOMETRIES[geometry], delta, harm, benign, kappa, FilterSettings(**choice))


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("cost", [0.01, 0.3, 5.0])
def test_soft_is_the_closed_form(geometry, cost):
    """(F_h + c F_b)^-1 F_h D, solved densely."""
    harm = KAPPA * dense_fisher(geometry, statistics(0), DEFAULTS.damping)
    benign = dense_fisher(geometry, statistics(1), DEFAULTS.damping)
    expected = torch.linalg.solve(harm + cost * benign, harm @ patch().flatten()).view(OUT, IN)
    torch.testing.assert_close(run(geometry, patch(), filter="soft", cost=cost), expected)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_soft_of_the_difference_is_two_model_fisher_merging(geometry):
    """theta_u + soft(theta_s - theta_u) = (F_h + cF_b)^-1 (F_h theta_s + cF_b theta_u)."""
    utility, safety = patch(1), patch(2)
    harm = KAPPA * dense_fisher(geometry, statistics(0), DEFAULTS.damping)
    benign = DEFAULTS.cost * dense_fisher(geometry, statistics(1), DEFAULTS.damping)
    weighted = harm @ safety.flatten() + benign @ utility.flatten()
    expected = torch.linalg.solve(harm + benign, weighted).view(OUT, IN)
    torch.testing.assert_close(utility + run(geometry, safety - utility, filter="soft"), expected)


def test_separable_by_two_solves_is_its_eigenvector_form():
    harm, benign = statistics(0), statistics(1)
    left = condition(harm["output"], 0.1), condition(benign["output"], 0.1)
    right = condition(harm["input"], 0.1), condition(benign["input"], 0.1)
    nu, p = gevp.solve(*left)
    mu, u = gevp.solve(*right)
    each = math.sqrt(0.3)
    rows = math.sqrt(KAPPA) * nu / (math.sqrt(KAPPA) * nu + each)
    columns = math.sqrt(KAPPA) * mu / (math.sqrt(KAPPA) * mu + each)
    coordinates = p.T @ left[1] @ patch() @ right[1] @ u
    expected = p @ (coordinates * rows[:, None] * columns) @ u.T
    torch.testing.assert_close(run("kronecker", patch(), filter="separable", cost=0.3), expected)


@pytest.mark.parametrize("geometry", ["activation", "diagonal", "subspace"])
def test_separable_is_soft_where_there_is_one_side(geometry):
    assert torch.equal(run(geometry, patch(), filter="separable"), run(geometry, patch(), filter="soft"))


@pytest.mark.parametrize("rank", [0, 1, 2])
@pytest.mark.parametrize("geometry", ["kronecker", "activation"])
def test_separable_keeps_the_rank(geometry, rank):
    kept = run(geometry, patch(rank=rank), filter="separable")
    assert int(torch.linalg.matrix_rank(kept, rtol=1e-9)) == rank


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("density", [0.05, 0.3, 0.75, 1.0])
def test_hard_is_an_idempotent_benign_orthogonal_projector(geometry, density):
    """Built column by column as a matrix M: M M = M, F_b M symmetric, of the right rank."""
    basis = torch.eye(OUT * IN, dtype=torch.float64)
    columns = [run(geometry, e.view(OUT, IN), filter="hard", density=density).flatten() for e in basis]
    matrix = torch.stack(columns, dim=1)
    benign = dense_fisher(geometry, statistics(1), DEFAULTS.damping)
    torch.testing.assert_close(matrix @ matrix, matrix)
    torch.testing.assert_close(benign @ matrix, (benign @ matrix).T)
    sides = IN if geometry == "activation" else OUT * IN
    expected = math.ceil(density * sides) * (OUT if geometry == "activation" else 1)
    assert int(torch.linalg.matrix_rank(matrix, rtol=1e-8)) == expected


def test_hard_keeps_the_top_of_the_dense_spectrum():
    """For a patch along the best eigenvector of the dense problem nothing is lost; the worst is dropped."""
    harm = dense_fisher("kronecker", statistics(0), 0.1)
    benign = dense_fisher("kronecker", statistics(1), 0.1)
    vectors = gevp.solve(harm, benign).vectors
    best, worst = vectors[:, 0].view(OUT, IN), vectors[:, -1].view(OUT, IN)
    torch.testing.assert_close(run("kronecker", best, filter="hard", density=0.05), best)
    dropped = run("kronecker", worst, filter="hard", density=0.5)
    torch.testing.assert_close(dropped, torch.zeros_like(worst), atol=1e-9, rtol=0)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("name", ["separable", "soft"])
def test_no_cost_keeps_the_whole_patch_and_a_high_cost_none(geometry, name):
    free = run(geometry, patch(), filter=name, cost=0.0)
    if geometry == "subspace" or (geometry, name) == ("kronecker", "soft"):  # to a basis and back
        torch.testing.assert_close(free, patch(), rtol=0, atol=1e-12)
    else:
        assert torch.equal(free, patch())
    assert torch.allclose(run(geometry, patch(), filter=name, cost=1e-9), patch(), atol=1e-3)
    assert run(geometry, patch(), filter=name, cost=1e9).norm() < 1e-3


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_density_one_keeps_the_whole_patch(geometry):
    torch.testing.assert_close(run(geometry, patch(), filter="hard", density=1.0), patch())


@settings(max_examples=25)
@given(
    geometry=st.sampled_from(list(GEOMETRIES)),
    name=st.sampled_from(["separable", "soft", "hard", "shuffled"]),
    scale=st.floats(-3, 3),
)
def test_filters_are_linear_and_leave_inputs_alone(geometry, name, scale):
    one, two = patch(1), patch(2)
    before = one.clone()
    together = run(geometry, one + scale * two, filter=name)
    apart = run(geometry, one, filter=name) + scale * run(geometry, two, filter=name)
    torch.testing.assert_close(together, apart, rtol=1e-9, atol=1e-9)
    assert torch.equal(one, before)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_scale_of_the_statistics_does_not_matter(geometry):
    harm, benign = statistics(0), statistics(1)
    loud = {name: 1e6 * tensor for name, tensor in harm.items()} | axes()
    apply = functools.partial(filter_patch, GEOMETRIES[geometry])
    torch.testing.assert_close(
        apply(patch(), loud, benign, 1.0, DEFAULTS), apply(patch(), harm, benign, 1.0, DEFAULTS)
    )


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_shuffled_depends_on_its_seed_alone(geometry):
    first = run(geometry, patch(), filter="shuffled", seed=1)
    torch.testing.assert_close(first, run(geometry, patch(), filter="shuffled", seed=1))
    assert not torch.allclose(first, run(geometry, patch(), filter="shuffled", seed=2))


def test_shuffled_deals_the_separable_weights():
    """In the eigenbasis its weights are the separable ones, in another order."""
    harm, benign = statistics(0), statistics(1)
    left = condition(harm["output"], 0.1), condition(benign["output"], 0.1)
    right = condition(harm["input"], 0.1), condition(benign["input"], 0.1)
    p, u = gevp.solve(*left).vectors, gevp.solve(*right).vectors

    def weights(name):
        ones = p @ torch.ones(OUT, IN, dtype=torch.float64) @ u.T
        return p.T @ left[1] @ run("kronecker", ones, filter=name, seed=3) @ right[1] @ u

    separable, shuffled = weights("separable"), weights("shuffled")
    torch.testing.assert_close(separable.flatten().sort().values, shuffled.flatten().sort().values)
    assert not torch.allclose(separable, shuffled)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_rank_deficient_statistics_need_damping(geometry):
    harm = statistics(0)
    poor = {
        "input": torch.diag(torch.tensor([1.0, 0, 0, 0, 0])),
        "output": torch.diag(torch.tensor([1.0, 0, 0, 0])),
        "diagonal": torch.zeros(OUT, IN).index_fill_(0, torch.tensor([0]), 1.0),
        "scores": torch.eye(30, OUT * IN).index_fill_(0, torch.tensor([0]), 0.0),
        **axes(),
    }
    choice = FilterSettings(filter="hard", damping=0.0)
    with pytest.raises(ValueError, match="damping above 0"):
        filter_patch(GEOMETRIES[geometry], patch(), harm, poor, 1.0, choice)


def test_balance_is_the_ratio_of_shares_within_bounds():
    assert balance(2.0, 10.0, 1.0, 10.0) == pytest.approx(2.0)
    assert balance(10.0, 10.0, 1e-9, 10.0) == 10.0
    assert balance(1e-9, 10.0, 10.0, 10.0) == 0.1
    assert balance(0.0, 10.0, 1.0, 10.0) == 1.0


@pytest.mark.parametrize("samples", [3, 6, 200])
@pytest.mark.parametrize("cost", [0.01, 0.3, 5.0])
def test_the_dual_form_is_the_primal(samples, cost):
    generator = torch.Generator().manual_seed(samples)
    sides = [statistics(0), statistics(1)]
    for side in sides:
        side["scores"] = torch.randn(samples, OUT * IN, generator=generator)
    harm, benign = (dense_fisher("subspace", side, 0.1) for side in sides)
    expected = torch.linalg.solve(KAPPA * harm + cost * benign, KAPPA * harm @ patch().flatten())
    choice = FilterSettings(filter="soft", cost=cost)
    found = filter_patch(GEOMETRIES["subspace"], patch(), *sides, KAPPA, choice)
    torch.testing.assert_close(found, expected.view(OUT, IN))


def test_a_subspace_knows_nothing_outside_of_itself():
    sides = [statistics(0), statistics(1)]
    generator = torch.Generator().manual_seed(1)
    for side in sides:
        side |= {name: tensor[:, :2] for name, tensor in axes().items()}
        side["scores"] = torch.randn(9, 4, generator=generator)
    left, right = sides[0]["left"], sides[0]["right"]
    inside = left @ left.T @ patch() @ right @ right.T
    for name in ("soft", "hard"):
        choice = FilterSettings(filter=name, density=0.5)
        found = filter_patch(GEOMETRIES["subspace"], patch(), *sides, 1.0, choice)
        torch.testing.assert_close(found, filter_patch(GEOMETRIES["subspace"], inside, *sides, 1.0, choice))


def test_harm_and_benign_must_share_their_axes():
    other = statistics(1) | {"left": axes()["left"].flip(1)}
    with pytest.raises(ValueError, match="--patch"):
        filter_patch(GEOMETRIES["subspace"], patch(), statistics(0), other, 1.0, DEFAULTS)


KEPT = [(name, kept) for name, geometry in GEOMETRIES.items() for kept in geometry.factors]


@pytest.mark.parametrize(("geometry", "name"), KEPT)
@pytest.mark.parametrize("cost", [0.0, 0.4])
def test_filtered_factors_are_the_filtered_patch(geometry, name, cost):
    generator = torch.Generator().manual_seed(11)
    left = torch.randn(OUT, 2, generator=generator, dtype=torch.float64)
    right = torch.randn(2, IN, generator=generator, dtype=torch.float64)
    given = left.clone(), right.clone()
    factors = GEOMETRIES[geometry].factors[name]
    choice = FilterSettings(filter=name, cost=cost)
    new_left, new_right = factors(left, right, statistics(0), statistics(1), KAPPA, choice)
    assert (new_left.shape, new_right.shape, new_left.dtype) == (left.shape, right.shape, torch.float64)
    expected = run(geometry, left @ right, filter=name, cost=cost)
    torch.testing.assert_close(new_left @ new_right, expected)
    assert torch.equal(left, given[0])
    assert torch.equal(right, given[1])


def test_the_default_filter_works_on_factors():
    assert ("kronecker", "separable") in KEPT


@pytest.mark.parametrize("geometry", ["kronecker", "activation", "diagonal"])
@pytest.mark.parametrize("cost", [0.0, 0.01, 5.0])
def test_a_float32_patch_is_filtered_in_float32_as_well_as_in_float64(geometry, cost):
    found = run(geometry, patch().float(), filter="separable", cost=cost)
    assert found.dtype == torch.float32
    torch.testing.assert_close(
        found.double(), run(geometry, patch(), filter="separable", cost=cost), rtol=1e-4, atol=1e-5
    )
    turned = run(geometry, patch().float().T.contiguous().T, filter="separable", cost=cost)
    torch.testing.assert_close(turned, found, rtol=1e-5, atol=1e-6)


FORMS = [
    ("kronecker", "dense"),
    ("kronecker", "truncated"),
    ("kronecker", "diagonal"),
    ("activation", "dense"),
    ("activation", "truncated"),
    ("activation", "diagonal"),
    ("diagonal", "dense"),
    ("subspace", "dense"),
    ("subspace", "part"),
]


def in_form(form: str) -> dict[str, torch.Tensor]:
    """One side's statistics in float64, with its factors or its axes in a form."""
    side = {name: tensor.double() for name, tensor in statistics(0).items()}
    if form == "part":  # of the directions
        side |= {"left": side["left"][:, :2], "right": side["right"][:, :3], "scores": side["scores"][:, :6]}
    for name in ("input", "output"):
        if form == "truncated":
            side[name] = truncated.cut(side[name], 2)
            assert truncated.is_truncated(side[name])
        if form == "diagonal":
            side[name] = side[name].diagonal().clone()
    return side


def undamped(geometry: str, side: dict[str, torch.Tensor]) -> torch.Tensor:
    """The [OUT * IN, OUT * IN] Fisher of vec(W), neither scaled nor damped."""
    if geometry == "diagonal":
        return torch.diag(side["diagonal"].flatten())
    if geometry == "subspace":
        both = torch.kron(side["left"].contiguous(), side["right"].contiguous())
        return both @ side["scores"].T @ side["scores"] @ both.T
    left = dense(side["output"]) if geometry == "kronecker" else torch.eye(OUT).double()
    return torch.kron(left, dense(side["input"]))


@pytest.mark.parametrize(("geometry", "form"), FORMS)
@pytest.mark.parametrize("seed", [7, 8])
def test_the_quadratic_is_that_of_the_dense_fisher(geometry, form, seed):
    side, flat = in_form(form), patch(seed).flatten()
    fisher = undamped(geometry, side)
    found = GEOMETRIES[geometry].quadratic(side, patch(seed))
    assert found == pytest.approx(float(flat @ fisher @ flat), rel=1e-12)
    assert found > 0
    assert GEOMETRIES[geometry].quadratic(side, -3 * patch(seed)) == pytest.approx(9 * found, rel=1e-12)
    single = {name: tensor.float() for name, tensor in side.items()}
    assert GEOMETRIES[geometry].quadratic(single, patch(seed).float()) == pytest.approx(found, rel=1e-5)


@pytest.mark.parametrize(("geometry", "form"), FORMS)
def test_the_quadratic_of_nothing_is_nothing(geometry, form):
    assert GEOMETRIES[geometry].quadratic(in_form(form), torch.zeros(OUT, IN)) == 0
