"""A user's own recipe as the subject of a sweep: its parameters, models, and the tasks that score it."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sst_mergekit.errors import RecipeError
from sst_mergekit.experiments.strategies.space import Parameter, corners, spelled
from sst_mergekit.experiments.strategies.strategy import Settings
from sst_mergekit.experiments.sweep import Subject
from sst_mergekit.files import sha256
from sst_mergekit.jobs.unit import Unit
from sst_mergekit.merging.recipe import fold_adapter, write_recipe
from sst_mergekit.testbeds.harness import language_model
from sst_mergekit.testbeds.real.loading import Loading
from sst_mergekit.testbeds.scoring import merged, write_table

PLACES = frozenset({"model", "base_model", "fisher"})  # keys whose values are models and statistics
_STEP = re.compile(r"([\w-]+)|\[(\d+)\]")


def own_recipe(path: Path, space: tuple[Parameter, ...], scoring: Mapping[str, Any]) -> Subject:
    """Return a recipe as a subject.

    Args:
        path: of the recipe.
        space: what is searched.
        scoring: ``tasks`` (names), ``include_path`` and ``data_dir`` (absolute, or None), ``samples``
            (prompts a task at most; None: all), ``batch_size``, ``device`` (None: a GPU where there is one),
            ``dtype``, ``chat_template``, ``unsafe_code`` (whether the model's programs may be run), ``seed``.

    Raises:
        RecipeError: the recipe cannot be read.
    """
    from sst_mergekit import __version__
    from sst_mergekit.jobs.manifest import tree_hash
    from sst_mergekit.recipe.parse import load_recipe

    body = absolute(load_recipe(path).raw)
    named = _references(body).values()
    models = {place: _fingerprint(place) for place in sorted({p for v in named for p in v.split("+")})}
    data, own = scoring["data_dir"], scoring["include_path"]
    about = {
        "models": models,
        "scoring": scoring,
        "data": tree_hash(Path(data)) if data else None,
        "own_tasks": tree_hash(Path(own)) if own else None,
        "version": __version__,
    }
    folds = {
        f"folded {reference}": Unit("fold", reference, fold, {"reference": reference, "models": models})
        for reference in sorted({value for value in named if "+" in value})
    }

    def unit(settings: Settings) -> Unit:
        inputs = about | {"recipe": with_settings(path, body, settings)}
        return Unit("score", f"{path.stem}, {spelled(settings)}", score, inputs, folds)

    return Subject(path.stem, space, unit)


def parameters_of(path: Path) -> frozenset[str]:
    """Return the names of the parameters that a recipe's method shares among its models, and all its places.

    Raises:
        RecipeError: the recipe cannot be read.
    """
    from mergekit.merge_methods.base import ParameterScope

    from sst_mergekit.recipe.parse import load_recipe

    recipe = load_recipe(path)
    specs = recipe.method.spec.parameters if recipe.method else ()
    shared = {spec.name for spec in specs if spec.scope is ParameterScope.SHARED}
    return frozenset(shared | {key for key, _ in _leaves(recipe.raw)})


def check(path: Path, space: Sequence[Parameter], folder: Path) -> None:
    """Check the recipe with the first and with the last values of all parameters.

    Args:
        path: the recipe.
        space: the parameters.
        folder: for the recipes that are checked.

    Raises:
        RecipeError: it has a fault.
    """
    from sst_mergekit.recipe.check import check_recipe
    from sst_mergekit.recipe.parse import load_recipe

    for settings in corners(space):
        written = folder / path.name
        write_recipe(written, with_settings(path, load_recipe(path).raw, settings))
        faults = [fault for fault in check_recipe(written) if not fault.warning]
        if faults:
            where = f" with {spelled(settings)}" if settings else ""
            raise RecipeError(f"{path}{where}: {faults[0]}")


def with_settings(path: Path, recipe: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Return a copy of a recipe with the settings in it.

    A plain name is a shared parameter (``strength``: ``parameters.strength``); else it is a place in the
    recipe (``models[1].parameters.weight``), which must be there.

    Raises:
        RecipeError: there is no such place.
    """
    body = copy.deepcopy(dict(recipe))
    for name, value in settings.items():
        if name.isidentifier():
            shared = body.get("parameters") or {}
            body["parameters"] = {**shared, name: value}
            continue
        try:
            _put(body, name, value)
        except (KeyError, IndexError, TypeError):
            raise RecipeError(f"{path}: has no {name}; write the parameter there first") from None
    return body


def _put(body: Any, place: str, value: Any) -> None:
    """Change what is at a place of a recipe, which must be there."""
    *steps, last = [int(index) if index else key for key, index in _STEP.findall(place)]
    for step in steps:
        body = body[step]
    body[last]  # noqa: B018  (it must be there)
    body[last] = value


def absolute(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recipe with the local models and statistics by absolute paths, for workers elsewhere."""
    body = copy.deepcopy(dict(recipe))
    for place, value in _references(recipe).items():
        parts = (str(Path(p).absolute()) if Path(p).exists() else p for p in value.split("+"))
        _put(body, place, "+".join(parts))
    return body


def score(inputs: Mapping[str, Any], parents: Mapping[str, Path], out: Path) -> None:
    """Merge a recipe by mergekit, write the table of its scores, and delete the merge."""
    out.mkdir()
    with merged(inputs["recipe"], parents, out, inputs["scoring"]["seed"]) as model:
        write_table(_results(model, inputs["scoring"]), out)


def fold(inputs: Mapping[str, Any], parents: Mapping[str, Path], out: Path) -> None:
    """Fold an adapter into its base as mergekit's cache wants it."""
    fold_adapter(inputs["reference"], out)


def _results(model: Path, how: Mapping[str, Any]) -> dict[str, Any]:
    from sst_mergekit.evaluation.harness import load_tasks
    from sst_mergekit.evaluation.harness import score as evaluate
    from sst_mergekit.statistics.loading import default_device

    metadata = {} if how["samples"] is None else {"samples": how["samples"]}
    include, data_dir = how["include_path"] or (), how["data_dir"]
    tasks = load_tasks(how["tasks"], data_dir=data_dir, include_path=include, metadata=metadata)
    loading = Loading(how["dtype"], how["device"] or default_device())
    lm = language_model(model, None, loading, batch_size=how["batch_size"])
    confirmed, template = how["unsafe_code"], how["chat_template"]
    return evaluate(lm, tasks, confirm_run_unsafe_code=confirmed, apply_chat_template=template)


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (place, value) of everything in a recipe that is neither a mapping nor a list."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _leaves(each, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _leaves(each, f"{key}[{index}]")
    else:
        yield key, value


def _references(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Return the models and statistics that a recipe names, by their places in it."""
    return {
        key: value
        for key, value in _leaves(recipe)
        if key.rpartition(".")[2] in PLACES and isinstance(value, str)
    }


def _fingerprint(place: str) -> str | None:
    """Return what a model, an adapter or statistics are known by; None where they are not on this machine."""
    from sst_mergekit.statistics.fingerprint import local_directory, weights_fingerprint
    from sst_mergekit.statistics.loading import split_revision

    folder = local_directory(*split_revision(place))
    if folder is None:
        return None
    manifest = folder / "manifest.json"
    return sha256(manifest) if manifest.is_file() else weights_fingerprint(folder)
