"""The task ``sst_ifeval``: lm-eval's ``ifeval``, with a clear word on what it needs."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from sst_mergekit.errors import EvaluationError
from sst_mergekit.evaluation.rows import Row, Source, read_rows, to_dataset
from sst_mergekit.evaluation.selection import select
from sst_mergekit.evaluation.weights import group_scores

TASK = "sst_ifeval"
PACKAGES = ("langdetect", "immutabledict", "nltk")
_SOURCE = Source("ifeval/test.jsonl", "google/IFEval", "train")
_FIELDS = {"key": int, "prompt": str, "instruction_id_list": list, "kwargs": list}


def load(data_dir: str | None = None, **metadata: Any) -> dict[str, Any]:
    """Return ``{"test": prompts}``.

    Raises:
        EvaluationError: a package or tokenizer that lm-eval's checks need is missing.
    """
    require_checkers()
    return {"test": to_dataset(select(TASK, read_rows(_SOURCE, _FIELDS, data_dir), metadata))}


def score(doc: Row, results: list[str]) -> dict[str, Any]:
    """Return lm-eval's own metrics: all instructions followed, and each of them, read strictly and loosely.

    There is no degenerate rate here: some prompts ask for repetition.
    """
    from lm_eval.tasks.ifeval.utils import process_results

    found = process_results(doc, results)
    return found | group_scores(TASK, float(found["prompt_level_strict_acc"]))


def share_followed(items: list[list[bool]]) -> float:
    """Return the share of instructions that were followed, over the instructions of all prompts."""
    verdicts = [verdict for prompt in items for verdict in prompt]
    return sum(verdicts) / len(verdicts)


def require_checkers() -> None:
    """Raise EvaluationError if lm-eval's checks could not run; it would fetch the tokenizer unasked."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise EvaluationError(f"{TASK}: needs {', '.join(missing)}; run: pip install 'lm_eval[ifeval]'")

    import nltk

    try:
        nltk.data.find("tokenizers/punkt_tab")
    except LookupError:
        raise EvaluationError(
            f"{TASK}: needs nltk's sentence tokenizer; run: python -m nltk.downloader punkt_tab"
        ) from None
