"""The model that a study chose, ready to be sent: an adapter where it can be one, else a checkpoint."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sst_mergekit.errors import RecipeError
from sst_mergekit.experiments.names import CONTROLS
from sst_mergekit.experiments.results import SeedResult, choose
from sst_mergekit.experiments.trials import Trial, Tuning, spelled, trial
from sst_mergekit.files import write_text
from sst_mergekit.jobs.store import Store
from sst_mergekit.merging.recipe import run_recipe, write_recipe
from sst_mergekit.metrics.estimate import Rate, over_prompts
from sst_mergekit.sharing.measured import Figure
from sst_mergekit.sharing.tasks import TASKS
from sst_mergekit.testbeds.own.tasks import Metric
from sst_mergekit.testbeds.own.testbed import OwnTestbed
from sst_mergekit.testbeds.prompt_scores import read_prompt_scores
from sst_mergekit.testbeds.scoring import named, read_table

CONFIG, RECIPE = "adapter_config.json", "mergekit_config.yml"


def chosen(result: SeedResult, tuning: Tuning) -> tuple[str, Mapping[str, float]]:
    """Return the method, no control, whose chosen setting is best on development, and that setting."""
    able = {name: found.chosen for name, found in result.methods.items() if name not in CONTROLS}
    reached = {name: point for name, point in able.items() if result.methods[name].reached} or able
    if tuning.choice.by == "safety":
        point, _ = choose(list(reached.values()), tuning.choice)
    else:
        point = max(reached.values(), key=lambda one: (one.dev.utility.value, one.dev.safety.value))
    name = next(name for name, one in reached.items() if one is point)
    return name, point.settings


def write_best(out: Path, bed: OwnTestbed, result: SeedResult, tuning: Tuning, store: Store) -> Path:
    """Write the chosen model of the first seed to `out` (replaced), with recipe and card; return `out`."""
    name, settings = chosen(result, tuning)
    one = trial(bed, name, dict(settings))
    recipe = recipe_of(bed, one, store)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".best-") as folder:
        path = Path(folder) / RECIPE
        write_recipe(path, recipe)
        try:
            _as_adapter(path, out)
        except RecipeError:  # not of adapters, or no method whose result is one
            with tempfile.TemporaryDirectory(dir=out.parent, prefix=".lora-cache-") as cache:
                run_recipe(path, out, Path(cache), bed.seed)
        shutil.copy(path, out / RECIPE)
    _describe(out, bed, one, store)
    return out


def recipe_of(bed: OwnTestbed, one: Trial, store: Store) -> dict[str, Any]:
    """Return the recipe of a trial by the names that the user gave, and by places in the store."""
    if "recipe" in one.model.inputs:
        text = json.dumps(one.model.inputs["recipe"])
    else:
        text = json.dumps(_added(one.model.inputs["adapter"]))
    if bed.utility.adapter:
        text = text.replace('"unit:/utility"', '"unit:/base+unit:/utility_lora"')
        text = text.replace("unit:/utility+", "unit:/base+")
    body = json.loads(text)
    if bed.utility.adapter and body["base_model"] == "unit:/base+unit:/utility_lora":
        # a patch on the utility expert: both adapters on their base
        own = {"model": "unit:/base+unit:/utility_lora", "parameters": {"weight": 1.0}}
        body |= {"base_model": "unit:/base", "models": [own, *body["models"]]}
    text = json.dumps(body)
    for unit in named(text):
        place = {"base": bed.base, "utility": bed.utility.place, "safety": bed.safety.place}.get(unit)
        place = bed.utility.place if unit == "utility_lora" else place
        text = text.replace(f"unit:/{unit}", place or str(store.path(bed.unit(unit))))
    return json.loads(text)


def _added(adapter: str) -> dict[str, Any]:
    """Return the recipe that adds a trained adapter to the utility expert."""
    model = {"model": f"unit:/utility+unit:/{adapter}", "parameters": {"weight": 1.0}}
    return {
        "merge_method": "task_arithmetic",
        "base_model": "unit:/utility",
        "models": [model],
        "parameters": {"normalize": False},
        "dtype": "float32",
    }


def _as_adapter(recipe: Path, out: Path) -> None:
    from sst_mergekit.adapters.merging import Options, merge_adapters
    from sst_mergekit.recipe.parse import load_recipe

    merge_adapters(load_recipe(recipe), out, Options(progress=False), force=True)


def _describe(out: Path, bed: OwnTestbed, one: Trial, store: Store) -> None:
    """Complete the card, with what was measured on the test documents."""
    from sst_mergekit.sharing.kinds import kind_of
    from sst_mergekit.sharing.model_card import model_card, read_merge

    path = store.path(bed.score(one.model, "test"))
    table, about = read_table(path), read_prompt_scores(path)
    found = [_figure(metric, table[metric.test][metric.metric], one, about) for metric in bed.tasks.metrics]
    write_text(out / "README.md", model_card(read_merge(out, kind_of(out)), found))


def _figure(metric: Metric, rate: Rate, one: Trial, about: Mapping[str, Any]) -> Figure:
    task = TASKS.get(metric.test)
    return Figure(
        task=metric.test,
        metric=metric.metric,
        dataset=task.dataset if task else metric.test,
        estimate=over_prompts(rate.value, rate.stderr, rate.n),
        higher_is_better=True,
        version=str(about["versions"].get(metric.test)),
        shots=about["n-shot"].get(metric.test),
        local_data=True,
        day=datetime.now(timezone.utc).date().isoformat(),
        setup=f"sst-mergekit study, test documents; {spelled(one.method, one.settings)}, chosen on others",
        model="",
    )
