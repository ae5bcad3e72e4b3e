"""How large things are: estimates for plans, from the shapes of the models."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sst_mergekit.demo.world import WorldSize
from sst_mergekit.experiments.unit import Unit

if TYPE_CHECKING:
    from sst_mergekit.experiments.config import ModelOptions
    from sst_mergekit.experiments.request import Request

VOCABULARY = 900  # words of the tiny world's tokenizer, about
ROW, SCORE = 120, 20_000  # bytes of an exchange and of a table of scores, about
RANK = 8
BYTES = {"float16": 2, "bfloat16": 2, "float32": 4}
_BILLIONS = re.compile(r"(\d+(?:\.\d+)?)b\b", re.IGNORECASE)


def world_size(size: WorldSize) -> str:
    """Return what a split of the world asks."""
    return (
        f"{size.harmful_prompts} harmful prompts, {size.look_alikes} look-alikes, "
        f"{size.choice_questions} questions, {size.programs} programs"
    )


def unit_bytes(unit: Unit) -> int:
    """Return about how many bytes a unit's result takes."""
    size = _world_of(unit)
    whole = 4 * (2 * VOCABULARY * size["width"] + 10 * size["layers"] * size["width"] ** 2) if size else 0
    if unit.kind == "data":
        steps = ("base_steps", "utility_steps", "safety_steps")
        rows = sum(unit.inputs["world"][key] for key in steps) * 32 if "world" in unit.inputs else 0
        return ROW * (rows + unit.inputs.get("tasks", 0) * unit.inputs.get("rows", 0))
    if unit.kind == "train" and unit.inputs.get("part") in ("base", "utility"):
        return whole
    if unit.kind == "train":
        return 4 * RANK * 20 * size["layers"] * size["width"]
    if unit.kind == "fold":
        return whole
    return 4 * 30 * size["layers"] * size["width"] ** 2 if unit.kind == "statistics" else SCORE


def _world_of(unit: Unit) -> dict[str, int]:
    """Return the world that a unit is made from."""
    if "world" in unit.inputs:
        return dict(unit.inputs["world"])
    found = (_world_of(parent) for parent in unit.parents.values())
    return next((size for size in found if size), {})


def billions(full_name: str) -> float | None:
    """Return the parameters of a model by its name, in billions; None where it does not say.

    >>> billions("meta-llama/Llama-3.1-8B-Instruct"), billions("user/model")
    (8.0, None)
    """
    found = _BILLIONS.findall(full_name)
    return float(found[-1]) if found else None


def hub_lines(request: Request, model: ModelOptions) -> Iterator[str]:
    """Yield what a Hub model would take."""
    sizes, seeds = model.sizes[request.mode], len(request.seeds)
    config, count = request.config, billions(model.full_name)
    yield (
        f"  data: {sizes.train} rows to train either expert on, {sizes.harmful} BeaverTails prompts to "
        f"score, MMLU {sizes.questions or 'all 14042'}, HumanEval {sizes.programs or 'all 164'}"
    )
    yield f"  {model.torch_dtype}, device_map {model.device_map}, flash attention {model.use_flash_attention}"
    methods, budget = len(config.methods[request.mode]), config.budget[request.mode]
    if {"exp1", "exp3"} & set(request.experiments):
        merges = (methods if "exp3" in request.experiments else 1) * budget * seeds
        yield f"  exp1, exp3: 2 experts and 2 statistics a seed, {merges} merges on the development split"
    if "exp2" in request.experiments:
        yield (
            f"  exp2: {max(request.counts)} experts and statistics a seed, a subject of MMLU each, merged by "
            f"{request.counts}"
        )
    if count is None:
        yield f"  disk: unknown; the name {model.full_name!r} does not say how large the model is"
        return
    whole, folded = count * BYTES[model.torch_dtype], count * BYTES["float32"]
    yield (
        f"  disk: about {whole:.0f} GB for the model, {folded:.0f} GB for each folded expert (float32), and "
        f"{whole:.0f} GB for a merge while it is scored"
    )
