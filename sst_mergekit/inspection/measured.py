"""A recipe's own statistics held against what its patch does: prices, and divergences on held-out rows.

Here models are loaded and run. Statistics are read a layer at a time, whenever a price asks for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mergekit.common import ModelReference
from tqdm import tqdm

from sst_mergekit.core.geometries import GEOMETRIES
from sst_mergekit.core.geometry import Geometry, Statistics
from sst_mergekit.errors import RecipeError
from sst_mergekit.inspection.layers import Scene, scenes
from sst_mergekit.inspection.truth import (
    Agreement,
    Divergence,
    Pair,
    Patch,
    Probe,
    agreement,
    filtered,
    plain,
    price,
    scaled,
)
from sst_mergekit.plugin.evidence import Side, gather, opened
from sst_mergekit.recipe.parse import Recipe
from sst_mergekit.statistics.loading import load_model, require_device
from sst_mergekit.statistics.rows import Source, prompt_hashes
from sst_mergekit.statistics.sequences import Read, read_sequences
from sst_mergekit.statistics.settings import ModelSpec

LAYERS = 24  # that are tried alone


@dataclass(frozen=True)
class Options:
    """How many rows of each side are used, and where and how models run."""

    samples: int | None = 128
    max_length: int = 1024
    batch_size: int = 16
    device: str = "cpu"
    dtype: str = "float32"
    progress: bool = True


@dataclass(frozen=True)
class Judged:
    """One side: its patches with prices and divergences, and how well these agree.

    Attributes:
        agreement: over all probes.
        prompts: how many were run.
        shared: how many of them the statistics were measured on.
        probes: the patches.
    """

    agreement: Agreement
    prompts: int
    shared: int
    probes: tuple[Probe, ...]


class _Layers(Mapping[str, Statistics]):
    """One side's statistics, layer -> tensors, read anew each time."""

    def __init__(self, side: Side, geometry: Geometry, names: Sequence[str]) -> None:
        self._side, self._geometry, self._names = side, geometry, names

    def __getitem__(self, name: str) -> Statistics:
        return gather(self._side, name, self._geometry).tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def measure(
    recipe: Recipe, benign: Sequence[Source], harm: Sequence[Source] = (), options: Options | None = None
) -> dict[str, Judged]:
    """Return how well a recipe's statistics foretell divergences: of ``benign``, and perhaps of ``harm``.

    Args:
        recipe: with one utility and one safety expert.
        benign: rows on which patches of the utility expert are measured.
        harm: rows on which the safety expert is measured with parts of its patch taken away.
        options: None for the defaults.

    Raises:
        RecipeError: the recipe has other experts, or no layer with statistics.
        DataError, StatisticsError: rows, models or statistics cannot be read.
    """
    options = options or Options()
    require_device(options.device)
    scene = _only(recipe)
    patch = {name: change for name, layer, change in scene.layers() if layer is not None}
    if not patch:
        raise RecipeError("--data: no changed weight has statistics, so no price is known")
    geometry = GEOMETRIES[scene.geometry]
    sides = {"harm": (scene.harm,), "benign": scene.benign}
    known = {name: _Layers(side, geometry, list(patch)) for name, side in sides.items()}
    pairs = {"own": Pair(geometry, known["harm"], known["benign"])}
    asked = {"benign": (scene.utilities[0], benign), "harm": (scene.expert, harm)}
    found = {}
    for name, (model, sources) in asked.items():
        if not sources:
            continue
        sign = -1.0 if name == "harm" else 1.0
        patches = [(each, scaled(change, sign)) for each, change in plain(patch, most=LAYERS)]
        patches += filtered(patch, pairs, harm=name == "harm")  # type: ignore
        found[name] = _judged(
            name, _spec(model, options), sources, sides[name], pairs["own"], patches, options
        )
    return found


def _only(recipe: Recipe) -> Scene:
    found = list(scenes(recipe))
    if len(found) != 1 or len(found[0].utilities) != 1:
        raise RecipeError("--data: prices are measured for one utility and one safety expert; name no more")
    return found[0]


def _judged(
    name: str,
    spec: ModelSpec,
    sources: Sequence[Source],
    side: Side,
    pair: Pair,
    patches: Sequence[tuple[str, Patch]],
    options: Options,
) -> Judged:
    read = read_sequences(spec, sources, options.samples, 0, options.max_length, None)
    divergence = Divergence(load_model(spec), read.sequences, options.batch_size)
    statistics = getattr(pair, name)
    bar = tqdm(patches, unit="patch", disable=not options.progress, desc=f"Measuring, {name}")
    probes = tuple(
        Probe(each, price(pair.geometry, statistics, patch), divergence(patch)) for each, patch in bar
    )
    try:
        agreed = agreement(probes)
    except ValueError as error:
        raise RecipeError(f"{name} rows: {error}") from None
    return Judged(agreed, *_shared(read, side), probes)


def _shared(read: Read, side: Side) -> tuple[int, int]:
    """Return how many prompts were run, and how many of them the statistics were measured on."""
    seen = {each for store in opened(side) for each in store.manifest.data.get("prompts", ())}
    prompts = prompt_hashes(read.conversations)
    return len(prompts), len(seen.intersection(prompts))


def _spec(model: ModelReference, options: Options) -> ModelSpec:
    """Return how a recipe's model is loaded."""
    adapter = str(model.lora) if model.lora else None
    return ModelSpec(str(model.model), adapter, options.dtype, options.device)
