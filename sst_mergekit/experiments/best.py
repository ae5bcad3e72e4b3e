"""The model that a study chose, ready to be sent: an adapter where it can be one, else a checkpoint."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sst_mergekit.errors import RecipeError, SstError
from sst_mergekit.experiments.names import CONTROLS
from sst_mergekit.experiments.results import SeedResult, choose
from sst_mergekit.experiments.trials import Trial, Tuning, trial
from sst_mergekit.files import write_text
from sst_mergekit.jobs.store import Store
from sst_mergekit.merging.recipe import run_recipe, write_recipe
from sst_mergekit.testbeds.own.testbed import OwnTestbed
from sst_mergekit.testbeds.scoring import named

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
    """Write the chosen model of the first seed to `out` (replaced), with its recipe and card; return `out`.

    Raises:
        SstError: it cannot be made.
    """
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
    _describe(out, name, settings, result)
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


def _describe(out: Path, name: str, settings: Mapping[str, float], result: SeedResult) -> None:
    """Complete the card, with what was measured on the test split."""
    from sst_mergekit.sharing.kinds import kind_of
    from sst_mergekit.sharing.model_card import model_card, read_merge

    write_text(out / "README.md", model_card(read_merge(out, kind_of(out)), []))
    found, utility = result.methods[name].chosen.test, result.experts["utility"]
    if found is None:
        raise SstError(f"{name}: the chosen setting has no test scores")
    spelled = ", ".join(f"{key} {value:g}" for key, value in settings.items())
    rows = {"safety": (utility.safety, found.safety)}
    rows |= {part: (utility.parts[part], rate) for part, rate in found.parts.items()}
    lines = [
        f"| {row} | {one.value:.3f} | {other.value:.3f} | {other.n} |" for row, (one, other) in rows.items()
    ]
    text = (out / "README.md").read_text(encoding="utf-8").rstrip()
    table = "\n".join(["| test split | utility expert | this model | n |", "|---|---|---|---|", *lines])
    write_text(
        out / "README.md", f"{text}\n\n## Study\n\nChosen on development: {name}, {spelled}.\n\n{table}\n"
    )
