"""``sst_beavertails_refusal`` and ``sst_beavertails_eval``: does the model refuse what BeaverTails asks?"""

from __future__ import annotations

import re
from typing import Any

from sst_mergekit.errors import DataError, EvaluationError, closest
from sst_mergekit.evaluation.outcome import outcome
from sst_mergekit.evaluation.rows import Row, Source, read_rows, to_dataset
from sst_mergekit.evaluation.selection import select
from sst_mergekit.evaluation.weights import group_scores

TASK, EVAL_TASK = "sst_beavertails_refusal", "sst_beavertails_eval"
SPLITS = ("30k_test", "30k_train", "330k_test", "330k_train")
CATEGORIES = (
    "animal_abuse",
    "child_abuse",
    "controversial_topics,politics",
    "discrimination,stereotype,injustice",
    "drug_abuse,weapons,banned_substance",
    "financial_crime,property_crime,theft",
    "hate_speech,offensive_language",
    "misinformation_regarding_ethics,laws_and_safety",
    "non_violent_unethical_behavior",
    "privacy_violation",
    "self_harm",
    "sexually_explicit,adult_content",
    "terrorism,organized_crime",
    "violence,aiding_and_abetting,incitement",
)
_FIELDS = {"prompt": str, "category": dict, "is_safe": bool}
_EVALUATION = Source("beavertails_eval/test.jsonl", "PKU-Alignment/BeaverTails-Evaluation", "test")


def metric_of(category: str) -> str:
    """Return the metric's name for one of BeaverTails' categories; lm-eval allows no comma in it.

    >>> metric_of("terrorism,organized_crime")
    'refusal_terrorism_organized_crime'
    """
    return "refusal_" + category.replace(",", "_")


def load(split: str = SPLITS[0], data_dir: str | None = None, **metadata: Any) -> dict[str, Any]:
    """Return ``{"test": prompts}`` of one BeaverTails split, in the order of their first appearance."""
    rows = read_unsafe_prompts(split, data_dir)
    return {"test": to_dataset(select(TASK, rows, metadata))}


def load_eval(data_dir: str | None = None, **metadata: Any) -> dict[str, Any]:
    """Return ``{"test": prompts}`` of BeaverTails-Evaluation, each with its one category.

    Raises:
        DataError: a category that is none of the 14, by its key or by its title.
    """
    rows = read_rows(_EVALUATION, {"prompt": str, "category": str}, data_dir)
    prompts = [
        _document(row["prompt"].strip(), {_category(row["category"], f"{_EVALUATION.file}: row {number}")})
        for number, row in enumerate(rows, 1)
    ]
    return {"test": to_dataset(select(EVAL_TASK, prompts, metadata))}


def read_unsafe_prompts(split: str, data_dir: str | None) -> list[Row]:
    """Return the prompts of one BeaverTails split that got an unsafe answer."""
    if split not in SPLITS:
        raise EvaluationError(f"metadata.split: unknown BeaverTails split {split!r}{closest(split, SPLITS)}")
    source = Source(f"beavertails/{split}.jsonl", "PKU-Alignment/BeaverTails", split)
    return unsafe_prompts(read_rows(source, _FIELDS, data_dir), source.file)


def unsafe_prompts(rows: list[Row], where: str) -> list[Row]:
    """Return each prompt with at least one unsafe answer once, with the categories of all its answers.

    BeaverTails labels question-answer pairs and asks the same question several times, so prompts are
    joined (by their text without outer blanks) and a category holds if it holds for any answer.

    Raises:
        DataError: a row whose `category` does not hold exactly the 14 known keys, each true or false.
    """
    found: dict[str, set[str]] = {}
    unsafe: set[str] = set()
    for number, row in enumerate(rows, 1):
        prompt = row["prompt"].strip()
        found.setdefault(prompt, set()).update(_flagged(row["category"], f"{where}: row {number}"))
        if not row["is_safe"]:
            unsafe.add(prompt)
    if not unsafe:
        raise DataError(f"{where}: no prompt has an unsafe answer, so there is nothing to ask")
    return [_document(prompt, keys) for prompt, keys in found.items() if prompt in unsafe]


def score(doc: Row, results: list[str]) -> dict[str, float]:
    """Return the metrics of one response; a category's metric only for a prompt of that category."""
    return _scores(TASK, doc, results[0])


def score_eval(doc: Row, results: list[str]) -> dict[str, float]:
    """Return the same for a prompt of BeaverTails-Evaluation."""
    return _scores(EVAL_TASK, doc, results[0])


def _scores(task: str, doc: Row, response: str) -> dict[str, float]:
    found = outcome(response, doc["prompt"])
    return {
        "refusal_rate": found.refused,
        "degenerate_rate": found.degenerate,
        **group_scores(task, found.refused),
        **{metric_of(category): found.refused for category in doc["categories"]},
    }


def _document(prompt: str, categories: set[str]) -> Row:
    held = [key for key in CATEGORIES if key in categories]
    return {"prompt": prompt, "categories": held, "target": "refusal"}


def _category(name: str, where: str) -> str:
    """Return the key of a category that is given as the key or as the data card's title."""
    plain = {re.sub("[^a-z]", "", key): key for key in CATEGORIES}
    key = plain.get(re.sub("[^a-z]", "", name.lower()))
    if key is None:
        raise DataError(f"{where}: category: unknown name {name!r}{closest(name, CATEGORIES)}")
    return key


def _flagged(category: dict[str, Any], where: str) -> list[str]:
    for key in category:
        if key not in CATEGORIES:
            raise DataError(f"{where}: category: unknown key {key!r}{closest(key, CATEGORIES)}")
    for key in CATEGORIES:
        if not isinstance(category.get(key), bool):
            got = repr(category[key]) if key in category else "nothing"
            raise DataError(f"{where}: category[{key!r}]: got {got}, expected true or false")
    return [key for key in CATEGORIES if category[key]]
