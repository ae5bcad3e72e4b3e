"""The baselines' pure functions against naive twins: the papers' formulas, written densely or as loops."""

import numpy as np
import pytest
import torch

from sst_mergekit.baselines.agl import agl, critical_directions
from sst_mergekit.baselines.dare_svd import dare_svd
from sst_mergekit.baselines.fisher import Factors, diagonal, kronecker
from sst_mergekit.baselines.knots import common_range, joint_svd, knots, ties
from sst_mergekit.baselines.led import disjoint, led, located, score
from sst_mergekit.baselines.lox import lox, top_directions
from sst_mergekit.baselines.mergealign import mergealign
from sst_mergekit.baselines.regmean import regmean
from sst_mergekit.baselines.resta import drop_and_rescale, resta
from sst_mergekit.baselines.safe_lora import project, safe_lora
from sst_mergekit.baselines.safemerge import safemerge
from sst_mergekit.baselines.shared.average import average
from sst_mergekit.baselines.shared.conjugate_gradients import conjugate_gradients
from sst_mergekit.baselines.shared.tensors import cosine

OUT, IN = 5, 4
SHAPES = [(5, 4), (4, 5)]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def moment(seed: int, n: int, rows: int = 12) -> torch.Tensor:
    x = normal(seed, rows, n)
    return x.T @ x / rows


def positive(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=seeded(seed), dtype=torch.float64) + 0.01


def weights_of(count: int) -> list[torch.Tensor]:
    return [normal(10 + i, OUT, IN) for i in range(count)]


# Fisher merging


@pytest.mark.parametrize("damping", [0.0, 0.2])
def test_diagonal_fisher_is_the_papers_sum(damping):
    tensors, weights = weights_of(3), [1.0, 0.5, 2.0]
    fishers = [positive(20 + i, OUT, IN) for i in range(3)]
    floor = damping * np.mean([f.numpy().mean() for f in fishers])
    expected = np.zeros((OUT, IN))
    for i in range(OUT):
        for j in range(IN):
            over, under = 0.0, 0.0
            for weight, fisher, tensor in zip(weights, fishers, tensors, strict=True):
                over += weight * (fisher[i, j].item() + floor) * tensor[i, j].item()
                under += weight * (fisher[i, j].item() + floor)
            expected[i, j] = over / under
    merged = diagonal(tensors, fishers, weights, damping)
    np.testing.assert_allclose(merged.numpy(), expected, rtol=1e-12)


def dense_kronecker(tensors, factors, weights, damping):
    """Solve ``(sum l_i G_i (x) A_i) vec W = sum l_i (G_i (x) A_i) vec W_i`` with row-major vec."""

    def ridge(all_of):
        full = [np.diag(f) if f.ndim == 1 else f for f in (x.numpy() for x in all_of)]
        mean = np.mean([np.trace(f) / len(f) for f in full])
        return [f + damping * mean * np.eye(len(f)) for f in full]

    inputs, outputs = ridge([f.input for f in factors]), ridge([f.output for f in factors])
    matrix, right = 0, 0
    for weight, a, g, tensor in zip(weights, inputs, outputs, tensors, strict=True):
        one = weight * np.kron(g, a)
        matrix, right = matrix + one, right + one @ tensor.numpy().reshape(-1)
    return np.linalg.solve(matrix, right).reshape(OUT, IN)


def factors_of(count: int, kind: str) -> list[Factors]:
    pairs = []
    for i in range(count):
        a = positive(30 + i, IN) if kind in ("diagonal input", "both diagonal") else moment(30 + i, IN)
        g = (
            positive(40 + i, OUT)
            if kind in ("diagonal output", "both diagonal")
            else 7**i * moment(40 + i, OUT)
        )
        pairs.append(Factors(a, g))
    return pairs


@pytest.mark.parametrize("kind", ["dense", "diagonal input", "diagonal output", "both diagonal"])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("damping", [0.0, 0.1])
def test_kronecker_fisher_is_the_dense_solution(kind, count, damping):
    tensors, factors, weights = weights_of(count), factors_of(count, kind), [1.0, 0.3, 2.0, 0.7][:count]
    merged = kronecker(tensors, factors, weights, damping)
    expected = dense_kronecker(tensors, factors, weights, damping)
    np.testing.assert_allclose(merged.numpy(), expected, rtol=1e-7, atol=1e-8)


def test_kronecker_fisher_leaves_out_a_model_of_weight_zero():
    tensors, factors = weights_of(3), factors_of(3, "dense")
    with_zero = kronecker(tensors, factors, [1.0, 0.0, 2.0], 0.1)
    torch.testing.assert_close(with_zero, kronecker(tensors[::2], factors[::2], [1.0, 2.0], 0.1))


@pytest.mark.parametrize("count", [2, 3])
def test_equal_statistics_average(count):
    tensors, weights = weights_of(count), [1.0, 3.0, 0.5][:count]
    expected = average(tensors, weights)
    fisher, factors, a = positive(1, OUT, IN), factors_of(1, "dense")[0], moment(2, IN)
    torch.testing.assert_close(diagonal(tensors, [fisher] * count, weights, 0.01), expected)
    torch.testing.assert_close(kronecker(tensors, [factors] * count, weights, 0.01), expected)
    torch.testing.assert_close(regmean(tensors, [a] * count, weights), expected)


def test_the_average_is_weighted():
    tensors = weights_of(2)
    torch.testing.assert_close(average(tensors, [1.0, 3.0]), 0.25 * tensors[0] + 0.75 * tensors[1])


def test_damping_carries_where_no_model_has_information():
    tensors, fishers = weights_of(2), [positive(1, OUT, IN), positive(2, OUT, IN)]
    for fisher in fishers:
        fisher[0, 0] = 0
    merged = diagonal(tensors, fishers, [1.0, 1.0], 1e-3)
    torch.testing.assert_close(merged[0, 0], 0.5 * (tensors[0] + tensors[1])[0, 0])
    with pytest.raises(ValueError, match="no Fisher information in any model; set damping above 0"):
        diagonal(tensors, fishers, [1.0, 1.0], 0.0)


def test_conjugate_gradients_need_no_more_steps_than_unknowns():
    matrix, right = moment(1, 6), normal(2, 6, 1)
    found = conjugate_gradients(lambda x: matrix @ x, right, lambda x: x / matrix.diagonal()[:, None], most=7)
    torch.testing.assert_close(matrix @ found, right)


def test_conjugate_gradients_says_when_it_has_not_converged():
    matrix = torch.diag(torch.logspace(0, 8, 30, dtype=torch.float64))
    right = torch.ones(30, 1, dtype=torch.float64)
    with pytest.raises(ValueError, match="not converged after 3 iterations; raise the damping"):
        conjugate_gradients(lambda x: matrix @ x, right, lambda x: x, most=3)


@pytest.mark.parametrize("weights", [[0.0, 0.0], [1.0, -1.0]])
def test_weights_that_cannot_be_used(weights):
    with pytest.raises(ValueError, match="weight: got .* expected numbers >= 0, not all 0"):
        average(weights_of(2), weights)


@pytest.mark.parametrize("bad", [0.0, float("nan")])
def test_statistics_that_cannot_be_used(bad):
    a = torch.full((IN, IN), bad, dtype=torch.float64)
    with pytest.raises(ValueError, match="mean eigenvalue .* expected finite and > 0"):
        regmean(weights_of(2), [a, moment(1, IN)], [1.0, 1.0])


# RegMean


@pytest.mark.parametrize("off_diagonal", [1.0, 0.9, 0.0])
def test_regmean_is_the_papers_formula(off_diagonal):
    tensors, weights, inputs = weights_of(3), [1.0, 0.5, 2.0], [moment(i, IN) for i in range(3)]
    scaled = []
    for a in inputs:
        copy = a.numpy().copy()
        for i in range(IN):
            for j in range(IN):
                copy[i, j] *= 1.0 if i == j else off_diagonal
        scaled.append(copy)
    left = sum(w * a for w, a in zip(weights, scaled, strict=True))
    right = sum(
        w * a @ t.numpy().T for w, a, t in zip(weights, scaled, tensors, strict=True)
    )  # the paper's [d_in, d_out]
    expected = (np.linalg.inv(left) @ right).T
    merged = regmean(tensors, inputs, weights, off_diagonal, damping=0.0)
    np.testing.assert_allclose(merged.numpy(), expected, rtol=1e-9, atol=1e-11)


def test_regmean_without_scaling_minimises_the_papers_loss():
    rows = [normal(50 + i, 12, IN) for i in range(2)]
    tensors = weights_of(2)
    stacked = torch.cat(rows)
    targets = torch.cat([x @ t.T for x, t in zip(rows, tensors, strict=True)])
    expected = torch.linalg.lstsq(stacked, targets).solution.T
    merged = regmean(tensors, [x.T @ x for x in rows], [1.0, 1.0], off_diagonal=1.0, damping=0.0)
    torch.testing.assert_close(merged, expected)


def test_regmean_of_diagonal_inputs_and_of_unseen_ones():
    tensors, counts = weights_of(2), [positive(1, IN), positive(2, IN)]
    dense = regmean(tensors, [torch.diag(c) for c in counts], [1.0, 2.0])
    torch.testing.assert_close(regmean(tensors, counts, [1.0, 2.0]), dense)
    torch.testing.assert_close(regmean(tensors, [counts[0], torch.diag(counts[1])], [1.0, 2.0]), dense)
    for count in counts:
        count[1] = 0
    merged = regmean(tensors, counts, [1.0, 1.0])
    torch.testing.assert_close(merged[:, 1], 0.5 * (tensors[0] + tensors[1])[:, 1])


# Safe LoRA and SafeMERGE


@pytest.mark.parametrize("threshold", [-1.0, 0.3, 0.8, 1.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_safe_lora_is_the_papers_formula(shape, threshold):
    update, v = normal(1, *shape), normal(2, *shape)
    c = v.numpy() @ v.numpy().T / np.sqrt((v.numpy() ** 2).sum())
    projected = c @ update.numpy()
    a, b = projected.reshape(-1), update.numpy().reshape(-1)
    similarity = a @ b / np.sqrt(a @ a) / np.sqrt(b @ b)
    assert 0.3 < similarity < 1.0
    expected = projected if similarity < threshold else update.numpy()
    np.testing.assert_allclose(safe_lora(update, v, threshold).numpy(), expected, rtol=1e-12, atol=1e-14)
    assert cosine(project(update, v), update) == pytest.approx(similarity)


def test_safe_lora_keeps_all_or_projects_all():
    update, v = normal(1, OUT, IN), normal(2, OUT, IN)
    for threshold in (-1.0, 0.0):
        assert torch.equal(safe_lora(update, v, threshold), update)
    assert torch.equal(safe_lora(update, v, 1.0), project(update, v))
    assert torch.equal(safe_lora(update, torch.zeros_like(v), 1.0), update)


def test_safe_lora_takes_nothing_outside_the_rows_of_the_pair():
    v = torch.zeros(OUT, IN, dtype=torch.float64)
    v[0] = 1
    kept = safe_lora(normal(1, OUT, IN), v, 1.0)
    assert bool(kept[0].any())
    assert not bool(kept[1:].any())


@pytest.mark.parametrize("threshold", [-1.0, 0.3, 0.8, 1.0])
def test_safemerge_merges_below_the_threshold_alone(threshold):
    utility, safety, v = normal(1, OUT, IN), normal(3, OUT, IN), normal(2, OUT, IN)
    c = v.numpy() @ v.numpy().T / np.linalg.norm(v.numpy(), "fro")
    a, b = (c @ utility.numpy()).reshape(-1), utility.numpy().reshape(-1)
    similarity = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    expected = 0.8 * utility + 0.2 * safety if similarity < threshold else utility
    torch.testing.assert_close(safemerge(utility, safety, v, threshold, 0.2), expected)
    assert torch.equal(safemerge(utility, safety, v, threshold, 0.0), utility)


def test_safemerge_counts_a_pair_without_difference_as_deviating():
    utility, safety = normal(1, OUT, IN), normal(3, OUT, IN)
    merged = safemerge(utility, safety, torch.zeros_like(utility), 0.35, 0.2)
    torch.testing.assert_close(merged, 0.8 * utility + 0.2 * safety)


# RESTA and DARE


def test_resta_adds_the_safety_vector():
    delta, v = normal(1, OUT, IN), normal(2, OUT, IN)
    torch.testing.assert_close(resta(delta, v, 0.5, 0.0, seeded(0)), delta + 0.5 * v)


def test_dare_drops_entries_and_keeps_the_mean():
    delta = torch.ones(200, 200, dtype=torch.float64)
    dropped = drop_and_rescale(delta, 0.7, seeded(0))
    assert set(dropped.unique().tolist()) == {0.0, 1 / (1 - 0.7)}
    assert float((dropped == 0).double().mean()) == pytest.approx(0.7, abs=0.01)
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.03)
    torch.testing.assert_close(resta(delta, delta, 2.0, 0.7, seeded(0)), dropped + 2 * delta)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rank", [0, 2, 9])
def test_dare_svd_is_the_loop_over_components(shape, rank):
    delta, drop = normal(1, *shape), 0.4
    draws = torch.rand(min(shape), generator=seeded(7), dtype=torch.float64)
    u, s, vt = np.linalg.svd(delta.numpy())
    expected = np.zeros(shape)
    for j in range(min(shape)):
        if draws[j] >= drop and (rank == 0 or j < rank):
            expected += s[j] * np.outer(u[:, j], vt[j]) / (1 - drop)
    merged = dare_svd(delta, drop, rank, seeded(7))
    np.testing.assert_allclose(merged.numpy(), expected, atol=1e-12)
    assert 0 < int((draws >= drop).sum()) < min(shape)


def test_dare_svd_without_dropping():
    delta = normal(1, OUT, IN)
    assert torch.equal(dare_svd(delta, 0.0, 0, seeded(0)), delta)
    torch.testing.assert_close(dare_svd(delta, 0.0, IN, seeded(0)), delta)
    assert int(torch.linalg.matrix_rank(dare_svd(delta, 0.0, 2, seeded(0)))) == 2
    vector = normal(2, OUT)
    assert torch.equal(dare_svd(vector, 0.9, 1, seeded(0)), vector)


def test_dare_svd_is_unbiased():
    delta = normal(1, OUT, IN)
    mean = torch.stack([dare_svd(delta, 0.5, 0, seeded(seed)) for seed in range(3000)]).mean(0)
    torch.testing.assert_close(mean, delta, atol=0.15, rtol=0)


# KnOTS


def naive_ties(tensors, weights, densities, normalize):
    """TIES entry by entry: trim, elect, and the mean or sum of those that agree."""
    parts = [tensor.numpy().copy() for tensor in tensors]
    for part, density in zip(parts, densities, strict=True):
        count = max(1, int(density * part.size))
        part[np.abs(part) < np.sort(np.abs(part).reshape(-1))[-count]] = 0
    merged = np.zeros(parts[0].shape)
    for place in np.ndindex(*merged.shape):
        votes = [(w * part[place], w) for part, w in zip(parts, weights, strict=True)]
        sign = 1 if sum(value for value, _ in votes) >= 0 else -1
        agreed = [(value, w) for value, w in votes if value * sign > 0]
        under = sum(w for _, w in agreed) if normalize else 1
        merged[place] = sum(value for value, _ in agreed) / under if agreed else 0
    return merged


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("shape", [*SHAPES, (40, 6)])
def test_knots_is_one_dense_svd_and_ties_of_its_parts(shape, normalize):
    updates, weights, densities = [normal(60 + i, *shape) for i in range(3)], [1.0, 0.5, 2.0], [0.3, 0.7, 1.0]
    u, s, vt = np.linalg.svd(
        np.concatenate([update.numpy() for update in updates], axis=1), full_matrices=False
    )
    parts = [torch.from_numpy(part) for part in np.split(vt, 3, axis=1)]
    expected = (u * s) @ naive_ties(parts, weights, densities, normalize)
    merged = knots(updates, weights, densities, normalize)
    np.testing.assert_allclose(merged.numpy(), expected, atol=1e-9)


@pytest.mark.parametrize("normalize", [True, False])
def test_a_vector_has_no_directions_and_is_merged_by_ties(normalize):
    vectors, weights, densities = [normal(70 + i, 9) for i in range(3)], [1.0, 1.0, 0.5], [0.5, 1.0, 0.7]
    merged = knots(vectors, weights, densities, normalize)
    np.testing.assert_allclose(merged.numpy(), naive_ties(vectors, weights, densities, normalize))


def test_knots_of_updates_of_low_rank_works_in_their_own_directions():
    updates = [normal(80 + i, 300, 2) @ normal(90 + i, 2, 20) for i in range(3)]
    assert common_range(updates).shape == (300, 32)
    scaled, parts = joint_svd(updates)
    assert scaled.shape == (300, 6)
    for update, part in zip(updates, parts, strict=True):
        torch.testing.assert_close(scaled @ part, update)
    both = torch.cat(parts, dim=1)
    torch.testing.assert_close(both @ both.T, torch.eye(6, dtype=torch.float64))
    noise = [update + 1e-6 * normal(95 + i, 300, 20) for i, update in enumerate(updates)]  # of rounding
    assert common_range(noise).shape == (300, 32)
    assert common_range([normal(99, 300, 300)]).shape == (300, 300)


def test_knots_where_nobody_is_trimmed_or_outvoted_is_the_sum():
    update = normal(1, OUT, IN)
    merged = knots([update, 2 * update], [1.0, 1.0], [1.0, 1.0], normalize=False)
    torch.testing.assert_close(merged, 3 * update)
    torch.testing.assert_close(knots([update, update], [1.0, 3.0], [1.0, 1.0], True), update)
    assert float(ties([update, -update], [1.0, 1.0], [1.0, 1.0], True).min()) >= 0  # a tie is positive


# MergeAlign


def test_mergealign_interpolates():
    domain, alignment = normal(1, OUT, IN), normal(2, OUT, IN)
    torch.testing.assert_close(mergealign(domain, alignment, 0.3), 0.7 * domain + 0.3 * alignment)
    a, b = domain.numpy().reshape(-1), alignment.numpy().reshape(-1)
    angle = np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    expected = (np.sin(0.7 * angle) * a + np.sin(0.3 * angle) * b) / np.sin(angle)
    merged = mergealign(domain, alignment, 0.3, "slerp")
    np.testing.assert_allclose(merged.numpy().reshape(-1), expected, rtol=1e-10)


@pytest.mark.parametrize("interpolation", ["linear", "slerp"])
def test_mergealign_ends_at_its_ends(interpolation):
    domain, alignment = normal(1, OUT, IN), normal(2, OUT, IN)
    torch.testing.assert_close(mergealign(domain, alignment, 0.0, interpolation), domain)
    torch.testing.assert_close(mergealign(domain, alignment, 1.0, interpolation), alignment)


def test_slerp_keeps_the_length_of_equally_long_vectors_and_survives_parallel_ones():
    domain = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    alignment = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    for share in (0.2, 0.5):
        assert float(torch.linalg.norm(mergealign(domain, alignment, share, "slerp"))) == pytest.approx(1)
    torch.testing.assert_close(mergealign(domain, 3 * domain, 0.5, "slerp"), 2 * domain)
    torch.testing.assert_close(mergealign(domain, -domain, 0.25, "slerp"), 0.5 * domain)
    torch.testing.assert_close(mergealign(domain, 0 * domain, 0.25, "slerp"), 0.75 * domain)


# LoX


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rank", [0, 1, 2, 4, 9])
def test_lox_projects_on_the_top_left_singular_vectors(shape, rank):
    delta, alignment = normal(1, *shape), normal(2, *shape)
    u = np.linalg.svd(delta.numpy())[0][:, :rank]
    expected = u @ u.T @ delta.numpy()
    np.testing.assert_allclose(top_directions(delta, rank).numpy(), expected, atol=1e-10)
    added = lox(alignment, delta, 1.25, rank)
    np.testing.assert_allclose(added.numpy(), alignment.numpy() + 1.25 * expected, atol=1e-10)


def test_lox_without_extrapolation_adds_the_alignment_alone():
    delta, alignment = normal(1, OUT, IN), normal(2, OUT, IN)
    assert torch.equal(lox(alignment, delta, 0.0, 2), alignment)
    assert torch.equal(lox(alignment[0], delta[0], 1.0, 2), alignment[0])


# AlignGuard-LoRA after the fact


@pytest.mark.parametrize("density", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("dense", [True, False])
def test_agl_minimises_the_penalised_distance(dense, density):
    """The minimiser of 1/2 |X - D|^2 + lambda/2 |F^(1/2) P X|^2 by its normal equations, densely."""
    update, g = normal(1, OUT, IN), moment(2, OUT) if dense else positive(2, OUT)
    full = g.numpy() if dense else np.diag(g.numpy())
    full = full / (np.trace(full) / OUT)
    values, vectors = np.linalg.eigh(full)
    top = vectors[:, np.argsort(values)[::-1][: int(np.ceil(density * OUT))]]
    p = top @ top.T
    expected = np.linalg.solve(np.eye(OUT) + 3.0 * p @ full @ p, update.numpy())
    np.testing.assert_allclose(agl(update, g, 3.0, density).numpy(), expected, atol=1e-12)


def critical_part(update, vectors):
    """P_A D = U Uᵀ D."""
    return vectors @ (vectors.T @ update.double())


@pytest.mark.parametrize("dense", [True, False])
def test_agl_splits_by_an_idempotent_orthogonal_projector(dense):
    update, g = normal(1, OUT, IN), moment(2, OUT) if dense else positive(2, OUT)
    values, vectors = critical_directions(g, 0.4)
    part = critical_part(update, vectors)
    torch.testing.assert_close(critical_part(part, vectors), part)
    torch.testing.assert_close(critical_part(update - part, vectors), torch.zeros_like(update))
    assert vectors.shape == (OUT, 2)
    assert values[0] >= values[1]


def test_agl_between_no_penalty_and_a_large_one():
    update, g = normal(1, OUT, IN), moment(2, OUT)
    assert torch.equal(agl(update, g, 0.0, 0.5), update)
    rest = update - critical_part(update, critical_directions(g, 0.5)[1])
    torch.testing.assert_close(agl(update, g, 1e12, 0.5), rest)
    with pytest.raises(ValueError, match="mean eigenvalue 0; expected finite and > 0"):
        agl(update, torch.zeros(OUT), 1.0, 0.5)


# LED-Merging


def led_by_loops(vectors, scores, densities, weights):
    elected = []
    for (base, own), density in zip(scores, densities, strict=True):
        count = max(1, int(density * base.numel()))
        tops = [set(np.argsort(-s.numpy().reshape(-1), kind="stable")[:count]) for s in (base, own)]
        elected.append(tops[0] & tops[1])
    merged = np.zeros(vectors[0].numel())
    for i, (vector, weight) in enumerate(zip(vectors, weights, strict=True)):
        others = set().union(*(e for j, e in enumerate(elected) if j != i))
        for entry in elected[i] - others:
            merged[entry] += weight * vector.reshape(-1)[entry].item()
    return merged.reshape(tuple(vectors[0].shape))


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("densities", [(0.5, 0.3, 0.7), (0.1, 0.9, 0.5), (1.0, 0.01, 0.6)])
def test_led_is_the_loop_over_sets(count, densities):
    vectors, weights = [normal(i, 8, 6) for i in range(count)], [1.0, 0.5, 2.0][:count]
    scores = [(positive(20 + i, 8, 6), positive(30 + i, 8, 6)) for i in range(count)]
    merged = led(vectors, scores, densities[:count], weights)
    expected = led_by_loops(vectors, scores, densities[:count], weights)
    np.testing.assert_allclose(merged.numpy(), expected, rtol=1e-12)


def test_led_masks_never_overlap_and_scores_of_zero_are_not_elected():
    masks = disjoint([torch.tensor([1, 1, 0, 0]).bool(), torch.tensor([0, 1, 1, 0]).bool()])
    assert [mask.tolist() for mask in masks] == [[True, False, False, False], [False, False, True, False]]
    assert located(torch.tensor([0.0, 0.0, 2.0]), 1.0).tolist() == [False, False, True]
    assert located(torch.tensor([1.0, 3.0, 2.0]), 0.1).tolist() == [False, True, False]
    assert score(torch.tensor([-3.0]), torch.tensor([4.0])).tolist() == [6.0]
