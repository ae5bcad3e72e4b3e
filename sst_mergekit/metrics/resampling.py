"""The spread of means over prompts that may share a source: standard error and paired bootstrap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sst_mergekit.metrics.estimate import Estimate

TAIL = 0.025  # left out at either end
BLOCK = 256  # draws in memory at a time


def sum_by_cluster(values: NDArray[np.float64], clusters: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the sums of the rows of `values` [prompts, columns] by cluster: [clusters, columns]."""
    sums = np.zeros((int(clusters.max()) + 1, values.shape[1]))
    np.add.at(sums, clusters, values)
    return sums


def clustered_stderr(values: NDArray[np.float64], clusters: NDArray[np.intp]) -> NDArray[np.float64] | None:
    """Return the cluster-robust standard error of the mean of each column of `values` [prompts, columns].

    For residuals r = s - mean(s), n prompts, G clusters: sqrt(G / (G - 1) * sum_c (sum_{i in c} r_i)²) / n
    (Miller 2024, arXiv:2411.00640, with the usual correction for few clusters). Where every prompt is a
    cluster of its own this is sd / sqrt(n). None below two clusters: there is no spread to see.
    """
    sums = sum_by_cluster(values - values.mean(axis=0), clusters)
    if len(sums) < 2:
        return None
    return np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum(axis=0)) / len(values)


def resampled_means(
    values: NDArray[np.float64], clusters: NDArray[np.intp], seed: tuple[int, ...], draws: int
) -> NDArray[np.float64]:
    """Return the means of `values` [prompts, runs] over `draws` resamples: [draws, runs].

    Each draw takes as many clusters as there are, with replacement, and all prompts of each; a draw is the
    same for all runs, so that differences of columns are paired. ``default_rng(seed).integers`` is called
    once a draw.
    """
    totals = np.column_stack([sum_by_cluster(values, clusters), np.bincount(clusters)])
    groups, rng = len(totals), np.random.default_rng(seed)
    means = np.empty((draws, values.shape[1]))
    for start in range(0, draws, BLOCK):
        size = min(BLOCK, draws - start)
        counts = [np.bincount(rng.integers(groups, size=groups), minlength=groups) for _ in range(size)]
        drawn = np.stack(counts).astype(np.float64) @ totals
        means[start : start + size] = drawn[:, :-1] / drawn[:, -1:]
    return means


def percentile_interval(value: float, draws: NDArray[np.float64], known: bool = True) -> Estimate:
    """Return `value` with its 95 % percentile interval: 2.5 % of the draws lie outside at either end.

    The ends are draws themselves: swapping two runs mirrors the interval. An infinite end becomes None; both
    are None where the noise is not `known`.
    """
    if not known:
        return Estimate(value)
    ordered, outside = np.sort(draws), int(TAIL * len(draws))
    ends = ordered[outside], ordered[len(draws) - 1 - outside]
    low, high = (float(end) if np.isfinite(end) else None for end in ends)
    return Estimate(value, low, high)
