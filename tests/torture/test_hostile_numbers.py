"""Numbers that no healthy run makes: every filter and baseline has a finite result or says what is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from sst_mergekit.baselines import (
    agl,
    dare_svd,
    fisher,
    knots,
    led,
    lox,
    mergealign,
    regmean,
    resta,
    safe_lora,
)
from sst_mergekit.baselines import safemerge as safemerge_file
from sst_mergekit.core.filtering import data_free, filter_patch
from sst_mergekit.core.geometries import GEOMETRIES
from sst_mergekit.core.settings import FILTERS, FilterSettings

OUT, IN = 6, 8
SLOTS = ("input", "output", "diagonal", "scores")


def healthy(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def moment(size: int, samples: int = 30) -> Tensor:
        rows = torch.randn(samples, size, generator=generator)
        return rows.T @ rows / samples

    axes = torch.Generator().manual_seed(99)
    return {
        "input": moment(IN),
        "output": moment(OUT),
        "diagonal": torch.rand(OUT, IN, generator=generator),
        "scores": torch.randn(30, OUT * IN, generator=generator),
        "left": torch.linalg.qr(torch.randn(OUT, OUT, generator=axes)).Q,
        "right": torch.linalg.qr(torch.randn(IN, IN, generator=axes)).Q,
    }


def measured(change: Callable[[Tensor], Tensor]) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda stats: {k: change(v) if k in SLOTS else v for k, v in stats.items()}


def _one_sample(stats: dict[str, Tensor]) -> dict[str, Tensor]:
    x, g = stats["input"][0], stats["output"][0]
    of_one = {"input": torch.outer(x, x), "output": torch.outer(g, g)}
    return stats | of_one | {"diagonal": torch.outer(g, x).square(), "scores": stats["scores"][:1]}


def _half_dead(stats: dict[str, Tensor]) -> dict[str, Tensor]:
    def kill(tensor: Tensor) -> Tensor:
        tensor = tensor.clone()
        tensor[: len(tensor) // 2] = 0
        if tensor.shape[0] == tensor.shape[-1]:
            tensor[:, : len(tensor) // 2] = 0
        return tensor

    return measured(kill)(stats)


def _spread(stats: dict[str, Tensor]) -> dict[str, Tensor]:
    def scale(tensor: Tensor) -> Tensor:
        sides = [torch.logspace(-12, 12, size, dtype=torch.float64).float() for size in tensor.shape]
        return sides[0][:, None] * tensor * (sides[1] if tensor.shape[0] == tensor.shape[1] else 1)

    return measured(scale)(stats)


STATISTICS = {
    "healthy": lambda stats: stats,
    "zero": measured(torch.zeros_like),
    "one sample": _one_sample,
    "half of it dead": _half_dead,
    "huge": measured(lambda x: x * 1e35),
    "tiny": measured(lambda x: x * 1e-40),
    "of 24 orders of magnitude": _spread,
    "half precision": measured(lambda x: (x * 1e4).to(torch.float16)),
    "overflown half precision": measured(lambda x: (x * 1e6).to(torch.float16)),
    "NaN": measured(lambda x: x * math.nan),
    "infinite": measured(lambda x: x * math.inf),
    "negative": measured(lambda x: -x.abs()),
}
MUST_FAIL = {"zero", "NaN", "infinite"}
PATCHES = {
    "healthy": torch.randn(OUT, IN, generator=torch.Generator().manual_seed(5)),
    "rank one": torch.outer(torch.arange(OUT) + 1.0, torch.arange(IN) - 3.0),
    "tiny": torch.full((OUT, IN), 1e-15),
    "huge": torch.full((OUT, IN), 1e15),  # beyond float32's range it is the merged weight that is refused
}


def finite_or_said(call: Callable[..., Tensor], *arguments: object) -> Tensor | str:
    """Return a result, which must be finite, or what the error says."""
    try:
        result = call(*arguments)
    except (
        ValueError,
        RuntimeError,
    ) as error:  # both are one line that names the weight (plugin, LayerFilter)
        return str(error) or "nothing"
    assert bool(torch.isfinite(result).all()), result
    return result


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("hostile", STATISTICS)
def test_every_filter_on_a_hostile_side(geometry: str, hostile: str) -> None:
    for harm, benign in ((hostile, "healthy"), ("healthy", hostile)):
        _every_filter(geometry, harm, [benign], (0.1,))


@pytest.mark.torture
@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("harm", STATISTICS)
def test_every_filter_on_every_pair(geometry: str, harm: str) -> None:
    _every_filter(geometry, harm, STATISTICS, (0.0, 0.1))


def _every_filter(geometry: str, harm: str, others: Iterable[str], dampings: tuple[float, ...]) -> None:
    for benign in others:
        sides = STATISTICS[harm](healthy(1)), STATISTICS[benign](healthy(2))
        for name in FILTERS:
            for damping in dampings:
                _filter(geometry, sides, FilterSettings(name, damping=damping), {harm, benign})


def _filter(geometry: str, sides: tuple[dict, dict], settings: FilterSettings, hostile: set[str]) -> None:
    for patch in PATCHES.values():
        if settings.filter == "data_free":
            assert isinstance(finite_or_said(data_free, patch, PATCHES["healthy"], settings), Tensor)
            continue
        result = finite_or_said(filter_patch, GEOMETRIES[geometry], patch, *sides, 1.0, settings)
        if hostile & MUST_FAIL:
            assert isinstance(result, str), (settings, hostile, result)
        if hostile == {"healthy"} and settings.damping > 0:
            assert isinstance(result, Tensor), result
            assert result.double().norm() <= 10 * patch.double().norm()


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


BASELINES = {
    "fisher, diagonal": lambda w, s: fisher.diagonal(w, [each["diagonal"] for each in s], [1.0, 1.0], 0.1),
    "fisher, kronecker": lambda w, s: fisher.kronecker(
        w, [fisher.Factors(each["input"], each["output"]) for each in s], [1.0, 1.0], 0.1
    ),
    "regmean": lambda w, s: regmean.regmean(w, [each["input"] for each in s], [1.0, 1.0]),
    "led": lambda w, s: led.led(
        w,
        [(led.score(one, each["diagonal"]),) * 2 for one, each in zip(w, s, strict=True)],
        [0.5, 0.5],
        [1.0, 1.0],
    ),
    "agl": lambda w, s: agl.agl(w[0], s[0]["output"]),
    "lox": lambda w, _: lox.lox(w[0], w[1], 1.0, 2),
    "dare_svd": lambda w, _: dare_svd.dare_svd(w[0], 0.5, 3, _generator()),
    "knots": lambda w, _: knots.knots(w, [1.0, 1.0], [0.5, 0.5], True),
    "resta": lambda w, _: resta.resta(w[0], w[1], 0.5, 0.3, _generator()),
    "safe_lora": lambda w, _: safe_lora.safe_lora(w[0], w[1]),
    "safemerge": lambda w, _: safemerge_file.safemerge(w[0], w[1], w[1], 1.0, 0.5),
    "mergealign": lambda w, _: mergealign.mergealign(w[0], w[1], 0.5, "slerp"),
}
WEIGHTS = {
    **{name: (patch, PATCHES["healthy"]) for name, patch in PATCHES.items()},
    "zero": (torch.zeros(OUT, IN), torch.zeros(OUT, IN)),
    "the same": (PATCHES["healthy"],) * 2,
    "opposite": (PATCHES["healthy"], -PATCHES["healthy"]),
}


@pytest.mark.parametrize("baseline", BASELINES)
def test_every_baseline(baseline: str) -> None:
    for one in STATISTICS:
        for other in STATISTICS:
            stats = STATISTICS[one](healthy(1)), STATISTICS[other](healthy(2))
            for weights in WEIGHTS.values():
                result = finite_or_said(BASELINES[baseline], list(weights), stats)
                if {one, other} == {"healthy"} and weights[0].abs().max() < 1e30:
                    assert isinstance(result, Tensor), result


@pytest.mark.parametrize(
    ("value", "dtype", "line"),
    [
        (math.nan, "float32", "up_proj.weight: the merged weight is not finite in float32"),
        (math.inf, "float32", "up_proj.weight: the merged weight is not finite in float32"),
        (70_000.0, "float16", "up_proj.weight: the merged weight is not finite in float16"),
    ],
)
def test_merged_weights_are_finite_or_named(world, tmp_path, value, dtype, line) -> None:
    import yaml
    from click.testing import CliRunner

    from sst_mergekit.cli import main

    name = "model.layers.1.mlp.up_proj.weight"
    recipe = yaml.safe_load((world.root / "full.yml").read_text())
    recipe["dtype"] = dtype
    recipe["parameters"] = {"strength": 50.0}
    for at, model in (("spoilt", "utility"),):
        (tmp_path / at).mkdir()
        for file in (world.root / model).iterdir():
            (tmp_path / at / file.name).write_bytes(file.read_bytes())
        tensors = load_file(tmp_path / at / "model.safetensors")
        tensors[name][:] = value
        save_file(tensors, tmp_path / at / "model.safetensors", metadata={"format": "pt"})
        recipe["models"][0]["model"] = str(tmp_path / at)
    (tmp_path / "recipe.yml").write_text(yaml.safe_dump(recipe))
    words = ["yaml", f"{tmp_path}/recipe.yml", f"{tmp_path}/out", "--no-check", "--quiet"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2, (result.output, result.exception)
    assert line in result.stderr
    assert not (tmp_path / "out").exists()
