"""How a cost grows: the exponent of a power law, and a picture on logarithmic axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import linregress


def exponent(sizes: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Return p of values ~ sizes ** p by least squares in logarithms, and its standard error."""
    fit = linregress(np.log(sizes), np.log(values))
    return float(fit.slope), float(fit.stderr)


def draw(
    path: Path, axis: str, sizes: Sequence[float], values: Mapping[str, Sequence[float]], unit: str
) -> None:
    """Draw each line of values with its fitted power law."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for line, found in values.items():
        power, _ = exponent(sizes, found)
        (drawn,) = axes.plot(sizes, found, "o", label=f"{line}: exponent {power:.2f}")
        middle = np.exp(np.mean(np.log(found)) - power * np.mean(np.log(sizes)))
        axes.plot(sizes, middle * np.array(sizes, dtype=float) ** power, "-", color=drawn.get_color())
    axes.set(xscale="log", yscale="log", xlabel=axis, ylabel=unit)
    axes.set_xticks(list(sizes), [f"{size:g}" for size in sizes])
    axes.minorticks_off()
    axes.legend()
    figure.savefig(path, dpi=120)
