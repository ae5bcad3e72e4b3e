"""The embedded world in the sizes that a configuration asks for."""

from __future__ import annotations

import dataclasses

from sst_mergekit.errors import SstError
from sst_mergekit.testbeds.options import ModelOptions
from sst_mergekit.testbeds.tiny.testbed import TinyWorld
from sst_mergekit.testbeds.tiny.world import FULL

MOST = {"beavertails.eval_samples": 210, "mmlu.max_samples": 1000, "humaneval.max_samples": 500}


def worlds(model: ModelOptions, mode: str, seeds: range) -> list[TinyWorld]:
    """Return one world a seed.

    Raises:
        SstError: an option that the tiny world cannot honour.
    """
    _check_options(model, mode)
    sizes = model.sizes[mode]
    counts = {
        "beavertails.eval_samples": sizes.harmful,
        "mmlu.max_samples": sizes.questions or FULL.choice_questions,
        "humaneval.max_samples": sizes.programs or FULL.programs,
    }
    for key, count in counts.items():
        if count > MOST[key]:
            where = f"models.{model.name}.datasets.{mode}.{key}"
            raise SstError(f"{where}: {count} is more than the tiny world has; at most {MOST[key]}")
    size = dataclasses.replace(
        FULL,
        harmful_prompts=counts["beavertails.eval_samples"],
        choice_questions=counts["mmlu.max_samples"],
        programs=counts["humaneval.max_samples"],
        calibration_rows=max(FULL.calibration_rows, sizes.train),
    )
    return [TinyWorld(seed, size, sizes.train, sizes.batch_sizes["beavertails"]) for seed in seeds]


def _check_options(model: ModelOptions, mode: str) -> None:
    where = f"models.{model.name}"
    if model.device_map != "cpu":
        raise SstError(f"{where}.device_map: got {model.device_map!r}; the tiny world runs on 'cpu' alone")
    if model.torch_dtype != "float32" or model.use_flash_attention:
        raise SstError(f"{where}: the tiny world has torch_dtype 'float32' and no flash attention")
    sizes = model.sizes[mode]
    if sizes.subjects is not None:
        raise SstError(f"{where}.datasets.{mode}.mmlu.subjects: the tiny world asks all of its 3; use null")
    if len(set(sizes.batch_sizes.values())) > 1:
        raise SstError(
            f"{where}.datasets.{mode}: batch_size differs ({sizes.batch_sizes}); the tiny world's tasks are "
            "scored in one pass, so give the same number"
        )
