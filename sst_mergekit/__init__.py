"""Safety Subspace Task-Merge: a mergekit method, Fisher statistics and lm-eval tasks.

Importing this package is cheap (no torch): it is imported when Python starts, by the hook that makes
``mergekit`` know ``merge_method: sst``. The names of ``__all__`` are loaded when they are first used; they
are what the ``sst-mergekit`` command itself calls. In a folder with models ``utility`` and ``safety``, their
data, statistics of ``safety``, a recipe, and a logged run of each:

>>> from pathlib import Path
>>> import sst_mergekit as sst
>>> spec, source = sst.ModelSpec("./utility"), sst.Source("utility.jsonl")
>>> manifest = sst.estimate(spec, source, Path("fisher-utility"), sst.StatisticsOptions(progress=False))
>>> manifest.kind, len(manifest.layers), manifest.data["sequences"]
('kronecker', 16, 3)

>>> sst.merge("recipe.yml", "merged", "--quiet").name
'merged'

>>> from lm_eval.models.huggingface import HFLM
>>> tasks = sst.load_tasks("sst_mmlu_0shot", data_dir="data")
>>> results = sst.score(HFLM(pretrained="merged", device="cpu"), tasks, confirm_run_unsafe_code=False)
>>> sst.summary(results)["sst_mmlu_0shot"]["acc"].n
4

>>> comparison = sst.compare(["runs/utility", "runs/safety"], sst.ComparisonOptions(resamples=100))
>>> comparison.runs, comparison.metrics[0].metric
(['utility', 'safety'], 'acc')
"""

TYPE_CHECKING = False  # typing.TYPE_CHECKING without the import of typing
if TYPE_CHECKING:
    from sst_mergekit.adapters.merging import merge_adapters as merge_adapters
    from sst_mergekit.comparison.run import Options as ComparisonOptions
    from sst_mergekit.comparison.run import compare as compare
    from sst_mergekit.core.filtering import filter_patch as filter_patch
    from sst_mergekit.core.geometries import GEOMETRIES as GEOMETRIES
    from sst_mergekit.core.settings import FilterSettings as FilterSettings
    from sst_mergekit.evaluation.harness import load_tasks as load_tasks
    from sst_mergekit.evaluation.harness import score as score
    from sst_mergekit.evaluation.harness import split_documents as split_documents
    from sst_mergekit.evaluation.harness import summary as summary
    from sst_mergekit.merging.run import merge as merge
    from sst_mergekit.metrics.tradeoff import safety_tax as safety_tax
    from sst_mergekit.reporting.study import study as study
    from sst_mergekit.statistics.estimate import estimate as estimate
    from sst_mergekit.statistics.rows import Source as Source
    from sst_mergekit.statistics.settings import ModelSpec as ModelSpec
    from sst_mergekit.statistics.settings import Options as StatisticsOptions

__version__ = "0.1.0"
__all__ = [
    "GEOMETRIES",
    "ComparisonOptions",
    "FilterSettings",
    "ModelSpec",
    "Source",
    "StatisticsOptions",
    "__version__",
    "compare",
    "estimate",
    "filter_patch",
    "load_tasks",
    "merge",
    "merge_adapters",
    "register",
    "safety_tax",
    "score",
    "split_documents",
    "study",
    "summary",
]

# name -> the module it is loaded from, and its name there where that is another
_LOADED_FROM = {
    "GEOMETRIES": "sst_mergekit.core.geometries",
    "ComparisonOptions": "sst_mergekit.comparison.run:Options",
    "FilterSettings": "sst_mergekit.core.settings",
    "ModelSpec": "sst_mergekit.statistics.settings",
    "Source": "sst_mergekit.statistics.rows",
    "StatisticsOptions": "sst_mergekit.statistics.settings:Options",
    "compare": "sst_mergekit.comparison.run",
    "estimate": "sst_mergekit.statistics.estimate",
    "filter_patch": "sst_mergekit.core.filtering",
    "load_tasks": "sst_mergekit.evaluation.harness",
    "merge": "sst_mergekit.merging.run",
    "merge_adapters": "sst_mergekit.adapters.merging",
    "safety_tax": "sst_mergekit.metrics.tradeoff",
    "score": "sst_mergekit.evaluation.harness",
    "split_documents": "sst_mergekit.evaluation.harness",
    "study": "sst_mergekit.reporting.study",
    "summary": "sst_mergekit.evaluation.harness",
}


def register() -> None:
    """Make mergekit know ``merge_method: sst`` and the baselines here; calling twice is harmless."""
    from sst_mergekit.registration import register_baselines, register_method

    register_method()
    register_baselines()


def __getattr__(name: str) -> "object":
    """Load a public name the first time it is asked for."""
    if name not in _LOADED_FROM:
        raise AttributeError(f"module 'sst_mergekit' has no attribute '{name}'")
    import importlib

    module, _, there = _LOADED_FROM[name].partition(":")
    value = globals()[name] = getattr(importlib.import_module(module), there or name)
    return value


def __dir__() -> "list[str]":
    """Return all names, those not loaded yet too."""
    return sorted({*globals(), *__all__})
