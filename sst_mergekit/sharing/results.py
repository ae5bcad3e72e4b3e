"""Measured figures in the forms that cards have: a table, ``model-index``, and ``.eval_results``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sst_mergekit.comparison.markdown import ARROWS
from sst_mergekit.metrics.text import table
from sst_mergekit.sharing.measured import Figure
from sst_mergekit.sharing.tasks import BENCHMARKS, TASKS

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

WRITER = "sst-mergekit card"
MARK = f"# written by {WRITER}"
HEADER = ("task (version)", "metric", "value", "95 % interval", "standard error", "n", "examples")


def results_table(figures: Sequence[Figure]) -> str:
    """Return the table of all figures, and below it how they came about."""
    rows = [
        [
            f"{figure.task} ({figure.version})",
            f"{figure.metric}{ARROWS[figure.higher_is_better]}",
            f"{found.value:.4f}",
            "unknown" if found.stderr is None else f"{found.low:.4f} to {found.high:.4f}",
            "unknown" if found.stderr is None else f"{found.stderr:.4f}",
            "unknown" if found.n is None else str(found.n),
            "" if figure.shots is None else str(figure.shots),
        ]
        for figure in figures
        for found in [figure.estimate]
    ]
    setups = "; ".join(dict.fromkeys(f"{figure.setup} ({figure.day})" for figure in figures))
    local = sorted({figure.task for figure in figures if figure.local_data})
    files = f" Data from local files: {', '.join(local)}." if local else ""
    return (
        f"{table(HEADER, rows)}\n"
        "Intervals: Wilson's for shares of prompts, else 1.96 standard errors; prompts count as independent. "
        f"Measured with {setups}.{files}"
    )


def eval_results(figures: Sequence[Figure]) -> list[EvalResult]:
    """Return the figures for ``model-index``; their args say who wrote them, standard error, n and setup."""
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type="text-generation",
            dataset_type=figure.dataset,
            dataset_name=f"{figure.dataset} (from a local file)" if figure.local_data else figure.dataset,
            metric_type=figure.metric,
            metric_name=f"{figure.metric} ({figure.task})",
            metric_value=round(figure.estimate.value, 6),  # type: ignore[call-overload]
            metric_args=_arguments(figure),
        )
        for figure in figures
    ]


def _arguments(figure: Figure) -> dict[str, Any]:
    found = figure.estimate
    known = {
        "written_by": WRITER,
        "task": figure.task,
        "task_version": figure.version,
        "num_fewshot": figure.shots,
        "stderr": None if found.stderr is None else round(found.stderr, 6),
        "interval_95": [round(end, 4) for end in (found.low, found.high) if end is not None] or None,
        "n": found.n,
    }
    return {key: value for key, value in known.items() if value is not None}


def is_ours(result: EvalResult) -> bool:
    """Return whether a result in a card's metadata was written here."""
    return isinstance(result.metric_args, dict) and result.metric_args.get("written_by") == WRITER


def benchmark_files(figures: Sequence[Figure]) -> dict[str, str]:
    """Return ``.eval_results/NAME.yaml`` -> content for the figures that a leaderboard of the Hub takes.

    Only metrics of `BENCHMARKS`, over all prompts of the Hub's own data; values are percentages, as there.
    """
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    files = {}
    for figure in figures:
        board, found = BENCHMARKS.get(figure.task), figure.estimate
        if board is None or figure.metric != board.metric or figure.local_data or found.n != board.prompts:
            continue
        error = "" if found.stderr is None else f", standard error {100 * found.stderr:.2f}"
        entry = EvalResultEntry(
            dataset_id=board.dataset,
            task_id=board.task_id,
            value=round(100 * found.value, 2),  # type: ignore[operator]
            date=figure.day,
            notes=(
                f"{figure.task} {figure.version}, {figure.metric}, {figure.shots}-shot, {figure.setup}{error}"
            ),
        )
        entries = eval_result_entries_to_yaml([entry])
        files[f".eval_results/{figure.task}.yaml"] = f"{MARK}\n{yaml.safe_dump(entries, sort_keys=False)}"
    return files


def measures_safety(figures: Sequence[Figure]) -> bool:
    """Return whether any figure says how the model meets harm."""
    return any(figure.task in TASKS and TASKS[figure.task].safety for figure in figures)
