"""The embedded world in the sizes that a configuration asks for."""

from __future__ import annotations

import dataclasses

from sst_mergekit.errors import SstError
from sst_mergekit.experiments import demo_plan as plan
from sst_mergekit.experiments.config import ModelOptions
from sst_mergekit.experiments.demo_plan import TRAINED, DemoSize
from sst_mergekit.testbeds.tiny.testbed import World

SMALL = {"minimal": plan.HALF, "full": plan.FULL}
MOST = {"beavertails.eval_samples": 210, "mmlu.max_samples": 1000, "humaneval.max_samples": 500}


def worlds(
    model: ModelOptions, mode: str, methods: tuple[str, ...], budget: int, seeds: range
) -> list[World]:
    """Return one world a seed.

    Raises:
        SstError: an option that the tiny world cannot honour.
    """
    _check_options(model, mode)
    sizes, start = model.sizes[mode], SMALL[mode]
    counts = {
        "beavertails.eval_samples": sizes.harmful,
        "mmlu.max_samples": sizes.questions or start.world.choice_questions,
        "humaneval.max_samples": sizes.programs or start.world.programs,
    }
    for key, count in counts.items():
        if count > MOST[key]:
            where = f"models.{model.name}.datasets.{mode}.{key}"
            raise SstError(f"{where}: {count} is more than the tiny world has; at most {MOST[key]}")
    world = dataclasses.replace(
        start.world,
        harmful_prompts=counts["beavertails.eval_samples"],
        choice_questions=counts["mmlu.max_samples"],
        programs=counts["humaneval.max_samples"],
        calibration_rows=max(start.world.calibration_rows, sizes.train),
    )
    size = dataclasses.replace(start, world=world, budget=budget, samples=sizes.train, methods=methods)
    batch_size = sizes.batch_sizes["beavertails"]
    trained = TRAINED in methods
    size = same_budget(size, mode) if trained else size
    return [World(seed, size, batch_size, trained) for seed in seeds]


def same_budget(size: DemoSize, mode: str) -> DemoSize:
    """Return the size with as many settings of the trained rival as of every method."""
    steps = size.steps[: size.budget // len(size.rates)]
    if len(steps) * len(size.rates) != size.budget:
        most = len(size.steps) * len(size.rates)
        raise SstError(
            f"exp3_baseline.{mode}.budget: {TRAINED} has no {size.budget} settings in this mode; "
            f"at most {most}"
        )
    return dataclasses.replace(size, steps=steps)


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
