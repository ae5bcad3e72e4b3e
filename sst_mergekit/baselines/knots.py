"""KnOTS (Stoica et al. 2024, arXiv:2410.19735): task updates tied by one SVD, then merged by TIES.

The updates of a layer are put side by side and decomposed together, ``[D_1 … D_n] = U S [V_1ᵀ … V_nᵀ]``, so
that all experts speak of the same directions U. TIES (Yadav et al. 2023, arXiv:2306.01708) merges the V_iᵀ:
each is trimmed to its largest share of entries, a sign is elected for each entry, and the entries of that
sign are averaged. The merged update is ``U S Vᵀ``.

Needs task vectors of one base; no data. Shares are of each tensor, where the authors trim over all layers at
once. Vectors (norms, biases) have no directions to share and are merged by TIES as they are. The columns of U
are found by random projections, exactly for updates of low rank (LoRA); what lies outside them is below
``TOLERANCE`` of the updates' norm, as the rounding of a folded adapter is, and is dropped.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sst_mergekit.baselines.shared.baseline import ADDED, DENSITIES, Baseline, thinned
from sst_mergekit.baselines.shared.method import Method
from sst_mergekit.baselines.shared.roles import ordered
from sst_mergekit.baselines.shared.tensors import all_equal, difference, result_dtype, wide

DENSITY = 0.7
TOLERANCE = 1e-4  # of the Frobenius norm of all updates
FIRST_RANK = 32
SMALLEST = 1e-7  # of the largest singular value; below it the square roots of eigenvalues are noise


def knots(
    updates: Sequence[Tensor], weights: Sequence[float], densities: Sequence[float], normalize: bool
) -> Tensor:
    """Return the merged update, float64, of the updates' shape.

    Args:
        updates: D_i [d_out, d_in], or vectors.
        weights: w_i >= 0, by which the V_i are multiplied before signs are elected.
        densities: shares of entries that are kept, in (0, 1].
        normalize: divide each entry by the weights that agree on it, as in the paper; else their sum.
    """
    updates = [update.to(torch.float64) for update in updates]
    if updates[0].ndim != 2:
        return ties(updates, weights, densities, normalize)
    scaled, parts = joint_svd(updates)
    return scaled @ ties(parts, weights, densities, normalize)


def joint_svd(updates: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Return ``U S`` [d_out, r] and each update's ``V_iᵀ`` [r, d_in]; r is the rank of all together."""
    basis = common_range(updates)
    inside = [basis.T @ update for update in updates]
    squares, vectors = torch.linalg.eigh(torch.stack([part @ part.T for part in inside]).sum(0))
    singular = squares.clamp_min(0).sqrt()
    kept = singular > SMALLEST * singular[-1]
    singular, vectors = singular[kept], vectors[:, kept]
    parts = [(vectors.T @ part) / singular[:, None] for part in inside]
    return basis @ (vectors * singular), parts


def common_range(updates: Sequence[Tensor]) -> Tensor:
    """Return orthonormal columns [d_out, k] that hold all updates but for ``TOLERANCE`` of their norm.

    A randomised range finder (Halko et al. 2011) whose k is doubled until it is enough; the whole space where
    it is more than half of it.
    """
    d_out, total = len(updates[0]), sum(float(update.square().sum()) for update in updates)
    draw = torch.Generator().manual_seed(0)
    count = FIRST_RANK
    while 2 * count <= d_out:
        sketch = torch.zeros(d_out, count, dtype=torch.float64, device=updates[0].device)
        for update in updates:
            test = torch.randn(update.shape[1], count, generator=draw, dtype=torch.float64)
            sketch += update @ test.to(update.device)
        basis = torch.linalg.qr(sketch).Q
        outside = sum(float((update - basis @ (basis.T @ update)).square().sum()) for update in updates)
        if outside <= TOLERANCE**2 * total:
            return basis
        count *= 2
    return torch.eye(d_out, dtype=torch.float64, device=updates[0].device)


def ties(
    tensors: Sequence[Tensor], weights: Sequence[float], densities: Sequence[float], normalize: bool
) -> Tensor:
    """Return the TIES merge of tensors of one shape, float64 (see `knots`).

    A sign is that of the weighted sum of the trimmed entries; a sum of 0 counts as positive, as in mergekit.
    """
    trimmed = [trim(t, density) * w for t, w, density in zip(tensors, weights, densities, strict=True)]
    positive = torch.stack(trimmed).sum(0) >= 0
    total, shared = torch.zeros_like(trimmed[0]), torch.zeros_like(trimmed[0])
    for tensor, weight in zip(trimmed, weights, strict=True):
        agree = torch.where(positive, tensor > 0, tensor < 0)
        total += tensor * agree
        shared += weight * agree
    return total / shared.where(shared > 0, torch.ones_like(shared)) if normalize else total


def trim(tensor: Tensor, density: float) -> Tensor:
    """Return the tensor with only its ``int(density * n)`` entries of largest magnitude; ties all stay."""
    if not tensor.numel():  # updates of zeros span nothing
        return tensor
    count = max(1, int(density * tensor.numel()))
    size = tensor.abs()
    return tensor * (size >= size.flatten().kthvalue(tensor.numel() - count + 1).values)


def merge_method() -> object:
    """Return the mergekit method: task vectors tied by one SVD of all, then merged by TIES."""
    from sst_mergekit.plugin import host

    def merge(
        group: host.TensorGroup,
        weight: host.PerNonBase[host.Weight] = 1.0,  # type: ignore[assignment]
        density: host.PerNonBase[host.Density] = DENSITY,  # type: ignore[assignment]
        strength: host.Strength = 1.0,
        normalize: bool = True,
    ) -> Tensor:
        """Return ``theta_0 + strength * KnOTS(theta_i - theta_0)``.

        Args:
            group: the models' tensors.
            weight, density: of each expert's part in the joint SVD.
            strength: of the merged update.
            normalize: average the entries that agree in sign, as in the paper; else add them.
        """
        entries = ordered(group)
        if all_equal([group.base, *entries]):  # type: ignore[list-item]
            return entries[0].tensor
        updates = [difference(entry, group.base) for entry in entries]
        weights, densities = ([each[entry.id] for entry in entries] for each in (weight, density))
        merged = knots(updates, weights, densities, normalize)
        return (wide(group.base) + strength * merged).to(result_dtype(entries))

    return host.hosted("knots", "KnOTS", "2410.19735", models=1)(merge)


ROW = Method("knots", "KnOTS", ADDED, DENSITIES, thinned("knots"), published=("KnOTS", "KnOTS"))
BASELINES = (Baseline(ROW, merge_method),)
