"""The experiments' configuration: data sizes by mode, models, and what each experiment does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sst_mergekit.errors import SstError, closest
from sst_mergekit.experiments.names import methods
from sst_mergekit.testbeds.options import ModelOptions, Sizes
from sst_mergekit.testbeds.sections import Section, read_yaml
from sst_mergekit.testbeds.tiny.facts import TASKS

MODES = ("minimal", "full")
EXPERIMENTS = ("exp1", "exp2", "exp3")
DTYPES = ("float16", "bfloat16", "float32")
BUDGETS = {"minimal": 8, "full": 16}  # settings a method, where the file says nothing


@dataclass(frozen=True)
class Config:
    """A whole file.

    Attributes:
        source: the file.
        cache_dir: where downloaded data lie.
        models: by name.
        folders: of each experiment's results, under ``--out``.
        attack_samples: harmful prompts under each jailbreak wrapping at most, by mode (None: all).
        num_experts: of the interference experiment, by mode.
        methods: our names of what is compared, by mode.
        budget: settings tried for each method, by mode.
    """

    source: Path
    cache_dir: str
    models: dict[str, ModelOptions]
    folders: dict[str, str]
    attack_samples: dict[str, int | None]
    num_experts: dict[str, list[int]]
    methods: dict[str, tuple[str, ...]]
    budget: dict[str, int]


def load(path: Path) -> Config:
    """Return the configuration in a YAML file.

    Raises:
        SstError: the file cannot be read, or a key is missing, unknown or holds what it cannot.
    """
    body = read_yaml(path, "name a file with --config")
    try:
        return _config(path, body)
    except SstError as error:
        raise SstError(f"{path}: {error}") from None


def _config(path: Path, body: Any) -> Config:
    top = Section("", body)
    datasets = top.section("datasets")
    cache_dir = datasets.text("cache_dir")
    sizes = {mode: _sizes(datasets.section(mode)) for mode in MODES}
    datasets.finish()
    models = top.section("models")
    found = {name: _model(name, models.section(name), sizes) for name in models.keys()}  # noqa: SIM118
    if not found:
        raise SstError("models: holds no model; add one")
    experiments = top.section("experiments")
    one, two, three = (
        experiments.section(name) for name in ("exp1_safety_utility", "exp2_multitask", "exp3_baseline")
    )
    experiments.finish()
    top.finish()
    folders = {
        name: Path(part.text("output_dir")).name
        for name, part in zip(EXPERIMENTS, (one, two, three), strict=True)
    }
    attack, counts = {}, {}
    for mode in MODES:
        attack[mode] = _only(one.section(mode), "max_samples", Section.whole_or_all)
        counts[mode] = _only(two.section(mode), "num_experts", _counts)
    compared, budget = _comparison(three)
    for part in (one, two, three):
        part.finish()
    return Config(path, cache_dir, found, folders, attack, counts, compared, budget)


def _only(part: Section, key: str, take: Any) -> Any:
    value = take(part, key)
    part.finish()
    return value


def _counts(part: Section, key: str) -> list[int]:
    counts = part.wholes(key, least=2)
    if counts[-1] > TASKS:
        raise SstError(f"{part.at(key)}: at most {TASKS} tasks, got {counts[-1]}")
    return counts


def _comparison(part: Section) -> tuple[dict[str, tuple[str, ...]], dict[str, int]]:
    """Return methods and budget by mode: those of the mode, else those of the experiment."""
    shared = methods(part.words("methods"), f"{part.where}.methods") if part.has("methods") else None
    compared, budget = {}, dict(BUDGETS)
    for mode in MODES:
        own = part.section(mode) if part.has(mode) else Section(f"{part.where}.{mode}", {})
        chosen = methods(own.words("methods"), f"{own.where}.methods") if own.has("methods") else shared
        if chosen is None:
            raise SstError(f"{part.where}.methods: missing; add a list of methods")
        compared[mode] = chosen
        if own.has("budget"):
            budget[mode] = own.whole("budget", least=4)
            if budget[mode] % 4:  # two values of a second setting, half of each where safety is won
                raise own.fault("budget", "a multiple of 4, so that every method tries as many settings")
        own.finish()
    return compared, budget


def _sizes(part: Section) -> Sizes:
    tails, mmlu, programs = (part.section(name) for name in ("beavertails", "mmlu", "humaneval"))
    part.finish()
    found = Sizes(
        train=tails.whole("train_samples"),
        harmful=tails.whole("eval_samples"),
        questions=mmlu.whole_or_all("max_samples"),
        programs=programs.whole_or_all("max_samples"),
        subjects=_subjects(mmlu),
        batch_sizes={
            name: section.whole("batch_size")
            for name, section in (("beavertails", tails), ("mmlu", mmlu), ("humaneval", programs))
        },
    )
    for section in (tails, mmlu, programs):
        section.finish()
    return found


def _subjects(mmlu: Section) -> int | list[str] | None:
    value = mmlu.value("subjects")
    return mmlu.words("subjects") if isinstance(value, list) else mmlu.whole_or_all("subjects")


def _model(name: str, part: Section, sizes: dict[str, Sizes]) -> ModelOptions:
    own = part.section("datasets") if part.has("datasets") else None
    if own:
        sizes = {mode: _sizes(own.section(mode)) for mode in MODES}
        own.finish()
    found = ModelOptions(
        name=name,
        full_name=part.text("full_name"),
        device_map=part.text("device_map") if part.has("device_map") else "auto",
        torch_dtype=part.choice("torch_dtype", DTYPES, "float32"),
        use_flash_attention=part.flag("use_flash_attention", False),
        sizes=sizes,
    )
    part.finish()
    return found


def chosen_models(config: Config, name: str) -> list[ModelOptions]:
    """Return the model of that name, or every one for ``all``.

    Raises:
        SstError: the file has no such model.
    """
    if name == "all":
        return list(config.models.values())
    if name not in config.models:
        raise SstError(f"--model: {name!r} is not in {config.source}{closest(name, config.models)}")
    return [config.models[name]]
