"""How large things are: estimates for plans, from the shapes of the models."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sst_mergekit.jobs.unit import Unit
from sst_mergekit.testbeds.tiny.sizes import worlds

if TYPE_CHECKING:
    from sst_mergekit.experiments.request import Request
    from sst_mergekit.testbeds.options import ModelOptions

VOCABULARY = 900  # words of the tiny world's tokenizer, about
ROW, SCORE = 120, 20_000  # bytes of an exchange and of a table of scores, about
RANK = 8
BYTES = {"float16": 2, "bfloat16": 2, "float32": 4}
_BILLIONS = re.compile(r"(\d+(?:\.\d+)?)b\b", re.IGNORECASE)


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


def hub_bytes(model: ModelOptions) -> dict[str, int | None]:
    """Return what a Hub model takes on the disk, by what for, in bytes; None where its name does not say."""
    count = billions(model.full_name)

    def size(dtype: str) -> int | None:
        return None if count is None else round(count * 1e9) * BYTES[dtype]

    whole = size(model.torch_dtype)
    return {"the model": whole, "a folded expert": size("float32"), "a merge while it is scored": whole}


def tiny_needs(request: Request, model: ModelOptions) -> dict[str, Any]:
    """Return what the embedded world asks for; ``split``: how many prompts of each sort a split has."""
    size = worlds(model, request.mode, request.seeds)[0].size
    split = {
        "harmful prompts": size.harmful_prompts,
        "look-alikes": size.look_alikes,
        "questions": size.choice_questions,
        "programs": size.programs,
    }
    return {"network": False, "workers": request.workers, "split": split}


def hub_needs(request: Request, model: ModelOptions) -> dict[str, Any]:
    """Return what a Hub model asks for; a number of prompts that is None means all."""
    sizes = model.sizes[request.mode]
    return {
        "network": True,
        "workers": request.workers,
        "confirm_run_unsafe_code": request.experiments != ("exp2",),
        "data_folder": request.config.cache_dir,
        "train_rows": sizes.train,
        "split": {
            "harmful prompts": sizes.harmful,
            "questions": sizes.questions,
            "programs": sizes.programs,
        },
        "torch_dtype": model.torch_dtype,
        "device_map": model.device_map,
        "use_flash_attention": model.use_flash_attention,
    }
