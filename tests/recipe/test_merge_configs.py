"""Every recipe in merge_configs/ loads, says how to run it, and has no fault once its experts are there."""

from __future__ import annotations

import inspect
import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from mergekit.architecture import get_architecture_info
from mergekit.config import MergeConfiguration
from mergekit.io.tasks import LoaderCache, SaveTensor
from mergekit.options import MergeOptions
from mergekit.plan import MergePlanner
from mergekit.scripts.run_yaml import main as mergekit_yaml
from recipe_world import World
from safetensors import safe_open

from sst_mergekit.baselines import merge_methods
from sst_mergekit.cli.check import command as check_command
from sst_mergekit.cli.fisher import command as fisher_command
from sst_mergekit.plugin.method import sst
from sst_mergekit.recipe.check import check_recipe
from sst_mergekit.resources import recipes_path

ROOT = recipes_path()
ALL = sorted(
    name
    for name in (str(path.relative_to(ROOT)) for path in ROOT.rglob("*.yml"))
    if not name.startswith(("experiments/", "neighbours/"))  # not recipes: tests of these names
)
OF_REFIT = [name for name in ALL if name.startswith("refit/")]
RECIPES = [name for name in ALL if not name.startswith(("baselines/", "refit/"))]
OF_BASELINES = sorted(f"baselines/{method.spec.name}.yml" for method in merge_methods())
OF_SST = [name for name in RECIPES if name.endswith("sst.yml")]
MODELS = {
    "mistral-7b": "mistralai/Mistral-7B-v0.1",
    "llama-3.1-8b": "meta-llama/Llama-3.1-8B-Instruct",
    "qwen2.5-14b": "Qwen/Qwen2.5-14B-Instruct",
}


def test_three_models_two_forms_five_methods() -> None:
    methods = ("dare_ties", "linear", "sst", "task_arithmetic", "ties")
    expected = [f"{m}/{form}/{name}.yml" for m in MODELS for form in ("full", "lora") for name in methods]
    assert sorted(expected) == RECIPES


@pytest.mark.parametrize("name", RECIPES)
def test_loads_and_is_what_its_path_says(name: str) -> None:
    model, form, file = name.split("/")
    raw = yaml.safe_load((ROOT / name).read_text())
    config = MergeConfiguration.model_validate(raw)
    assert config.merge_method == file.removesuffix(".yml")
    assert str(config.base_model) == MODELS[model]
    assert (config.dtype, config.out_dtype) == ("float32", "bfloat16")
    experts = [item.model for item in config.models if item.model != config.base_model]
    assert len(experts) == 2
    for expert in experts:
        assert (expert.lora is not None) == (form == "lora")
        path = str(expert.lora or expert.model)
        assert path.startswith(f"./experts/{model}-")
        assert form == "full" or str(expert.model) == MODELS[model]


@pytest.mark.parametrize("name", RECIPES)
def test_check_finds_missing_experts_and_nothing_else(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    faults = check_recipe(ROOT / name, tmp_path / "cache", "float32")
    assert len(faults) == (4 if name in OF_SST else 2)
    assert all(re.search(r"'\./(experts|fisher)/.*': no such directory", str(fault)) for fault in faults)


@pytest.mark.parametrize("name", OF_REFIT)
def test_a_refits_recipe_lacks_the_experts_alone(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    faults = check_recipe(ROOT / name, tmp_path / "cache", "float32")
    assert faults
    assert all(re.search(r"'\./(experts|refit)/.*': no such directory", str(fault)) for fault in faults)


def test_a_recipe_for_each_baseline() -> None:
    assert set(OF_BASELINES) <= set(ALL)
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    described = re.findall(r"(?m)^\| `(\w+)` \|", readme.split("\n## Baselines\n")[1].split("\n## ")[0])
    assert sorted(f"baselines/{name}.yml" for name in described[1:]) == sorted(
        set(ALL) - set(RECIPES + OF_REFIT)
    )


@pytest.mark.parametrize("name", OF_BASELINES)
def test_a_baselines_recipe_loads_and_lacks_experts_and_statistics_alone(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = MergeConfiguration.model_validate(yaml.safe_load((ROOT / name).read_text()))
    assert name == f"baselines/{config.merge_method}.yml"
    assert str(config.base_model) == MODELS["mistral-7b"]
    assert (config.dtype, config.out_dtype) == ("float32", "bfloat16")
    local = [str(item.model) for item in config.models] + statistics_of(config)
    faults = check_recipe(ROOT / name)
    assert all(re.search(r"'\./(experts|fisher)/.*': no such directory", str(fault)) for fault in faults)
    assert sorted(re.search(r"'(\./[^']*)'", str(fault)).group(1) for fault in faults) == sorted(local)  # type: ignore[union-attr]


def statistics_of(config: MergeConfiguration) -> list[str]:
    """Return every directory of statistics that a recipe names."""
    named = [item.parameters or {} for item in config.models]
    return [own[key] for own in named for key in ("fisher", "fisher_base") if key in own]


@pytest.mark.parametrize("name", OF_BASELINES)
def test_a_baselines_values_are_the_defaults(name: str) -> None:
    raw = yaml.safe_load((ROOT / name).read_text())
    method = next(method for method in merge_methods() if method.spec.name == raw["merge_method"])
    defaults = {spec.name: spec.default for spec in method.spec.shared_parameters}
    if defaults.get("on_missing") == "error":  # full fine-tuning moves norms, which have no statistics
        defaults["on_missing"] = raw["parameters"]["on_missing"]
        assert defaults["on_missing"] != "error"
    assert raw["parameters"] == defaults


@pytest.mark.parametrize("name", OF_BASELINES)
def test_a_baselines_commands_are_its_own(name: str) -> None:
    config = MergeConfiguration.model_validate(yaml.safe_load((ROOT / name).read_text()))
    *fishers, check, merge = commands(name)
    assert check == ["sst-mergekit", "check", f"merge_configs/{name}"]
    merged = mergekit_yaml.make_context("mergekit-yaml", merge[1:]).params
    assert merged["config_file"] == f"merge_configs/{name}"
    made = [fisher_command.make_context("fisher", words[2:]).params for words in fishers]
    assert [f"./{given['out']}" for given in made] == statistics_of(config)
    assert all(str(given["out"]).endswith(f"-{given['kind']}") for given in made)


@pytest.mark.parametrize("name", OF_SST)
def test_values_written_are_the_defaults(name: str) -> None:
    written = yaml.safe_load((ROOT / name).read_text())["parameters"]
    signature = inspect.signature(sst.implementation).parameters.values()
    defaults = {p.name: p.default for p in signature if p.name not in ("group", "role", "fisher")}
    if "/full/" in name:  # full fine-tuning moves norms, which have no statistics
        defaults["on_missing"] = "keep"
    assert written == {name: defaults[name] for name in written}


def commands(name: str) -> list[list[str]]:
    """Return the commands in a recipe's comment, split into words."""
    comment = [line[1:] for line in (ROOT / name).read_text().splitlines() if line.startswith("#")]
    text = "\n".join(comment).replace("\\\n", " ")
    lines = [line for line in text.splitlines() if re.match(r"\s+(sst-mergekit|mergekit-yaml) ", line)]
    return [shlex.split(line) for line in lines]


@pytest.mark.parametrize("name", RECIPES)
def test_commands_in_the_comment_are_the_recipes_own(name: str) -> None:
    config = MergeConfiguration.model_validate(yaml.safe_load((ROOT / name).read_text()))
    *fishers, check, merge = commands(name)
    assert check[:2] == ["sst-mergekit", "check"]
    checked = check_command.make_context("check", check[2:]).params
    merged = mergekit_yaml.make_context("mergekit-yaml", merge[1:]).params
    assert str(checked["recipe"]) == merged["config_file"] == f"merge_configs/{name}"
    cache = "./lora-cache" if "/lora/" in name else None
    assert merged["lora_merge_cache"] == cache
    assert merged["lora_merge_dtype"] == checked["lora_merge_dtype"] == ("float32" if cache else None)
    assert str(checked["lora_merge_cache"] or "") == ("lora-cache" if cache else "")
    assert (merged["random_seed"] is not None) == (config.merge_method == "dare_ties")
    measured = {}
    for words in fishers:
        given = fisher_command.make_context("fisher", words[2:]).params
        model = f"{given['model']}+{given['adapter']}" if given["adapter"] else given["model"]
        measured[model] = f"./{given['out']}"
    needed = {str(m.model): m.parameters["fisher"] for m in config.models if "fisher" in (m.parameters or {})}
    assert measured == needed


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache of folded adapters that outlives a test: the tiny adapters are the same in each."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def stand_in(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working directory with tiny models where the recipes expect experts and statistics."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(LoaderCache, "loaders", {})  # it would outlive the directory
    for model in MODELS:
        for role, adapter in (("utility", "skill"), ("safety", "guard")):
            for kind in ("experts", "fisher"):
                prefix = "fisher-" if kind == "fisher" else ""
                shutil.copytree(world.root / f"{prefix}{role}", f"{kind}/{model}-{role}")
                shutil.copytree(world.root / f"{prefix}{adapter}", f"{kind}/{model}-{role}-lora")
    return tmp_path


@pytest.mark.parametrize("name", RECIPES)
def test_tiny_stand_in_has_no_fault_and_plans(name: str, world: World, stand_in: Path, cache: Path) -> None:
    text = (ROOT / name).read_text()
    recipe = stand_in / "recipe.yml"
    recipe.write_text(text.replace(MODELS[name.split("/")[0]], world.path("base")))
    assert check_recipe(recipe, stand_in / "cache", "float32") == []
    config = MergeConfiguration.model_validate(yaml.safe_load(recipe.read_text()))
    options = MergeOptions(lora_merge_cache=str(cache))
    LoaderCache().setup(options)
    out_config = config.base_model.config()
    planner = MergePlanner(config, get_architecture_info(config, options), options, out_config)
    planned = {task.tensor_name for task in planner.plan_to_disk("out") if isinstance(task, SaveTensor)}
    with safe_open(world.root / "base" / "model.safetensors", framework="pt") as file:
        assert planned == set(file.keys())
