"""``sst_mmlu`` and ``sst_mmlu_0shot``: all subjects of MMLU as one task, with examples of the own subject."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lm_eval.api.task import ConfigurableTask

from sst_mergekit.errors import DataError, EvaluationError, closest
from sst_mergekit.evaluation.mmlu_subjects import metrics_of
from sst_mergekit.evaluation.rows import Row, Source, read_rows, to_dataset
from sst_mergekit.evaluation.selection import select
from sst_mergekit.evaluation.weights import group_scores

TASK, ZERO_SHOT_TASK = "sst_mmlu", "sst_mmlu_0shot"
LETTERS = "ABCD"
_FIELDS = {"question": str, "subject": str, "choices": list, "answer": int}


def load(data_dir: str | None = None, subjects: Any = None, **metadata: Any) -> dict[str, Any]:
    """Return ``{"test": questions, "dev": examples}`` of the wanted subjects (see `chosen_subjects`)."""
    return _load(TASK, data_dir, subjects, metadata)


def load_0shot(data_dir: str | None = None, subjects: Any = None, **metadata: Any) -> dict[str, Any]:
    """Return the same questions for ``sst_mmlu_0shot``."""
    return _load(ZERO_SHOT_TASK, data_dir, subjects, metadata)


def _load(task: str, data_dir: str | None, subjects: Any, metadata: Mapping[str, Any]) -> dict[str, Any]:
    questions = _questions("test", data_dir)
    wanted = chosen_subjects(subjects, list(dict.fromkeys(row["subject"] for row in questions)))
    asked = [row for row in questions if row["subject"] in wanted]
    return {
        "test": to_dataset(select(task, asked, metadata, text="question")),
        "dev": to_dataset(_questions("dev", data_dir)),
    }


def chosen_subjects(wanted: Any, known: list[str]) -> list[str]:
    """Return the subjects to ask, out of those `known`, in the order of the data set.

    Args:
        wanted: None for all, a number for the first so many, or a list of names.
        known: the data set's subjects.

    Raises:
        EvaluationError: a number out of range, or an unknown name.

    >>> chosen_subjects(1, ["anatomy", "astronomy"]), chosen_subjects(["astronomy"], ["anatomy", "astronomy"])
    (['anatomy'], ['astronomy'])
    """
    if wanted is None:
        return known
    if type(wanted) is int and 1 <= wanted <= len(known):
        return known[:wanted]
    if not isinstance(wanted, list) or not wanted:
        raise EvaluationError(
            f"metadata.subjects: got {wanted!r}, expected a number from 1 to {len(known)}, a list of names, "
            "or null"
        )
    for name in wanted:
        if name not in known:
            raise EvaluationError(f"metadata.subjects: unknown subject {name!r}{closest(str(name), known)}")
    return [name for name in known if name in wanted]


def _questions(split: str, data_dir: str | None) -> list[Row]:
    source = Source(f"mmlu/{split}.jsonl", "cais/mmlu", split, hub_config="all")
    rows = read_rows(source, _FIELDS, data_dir)
    for number, row in enumerate(rows, 1):
        if len(row["choices"]) != len(LETTERS) or not all(isinstance(text, str) for text in row["choices"]):
            raise DataError(f"{source.file}: row {number}: choices: got {row['choices']}, expected 4 texts")
        if row["answer"] not in range(len(LETTERS)):
            raise DataError(f"{source.file}: row {number}: answer: got {row['answer']}, expected 0 to 3")
    return [row | {"topic": row["subject"].replace("_", " ")} for row in rows]


def doc_to_text(doc: Row) -> str:
    r"""Return the question with its lettered choices, in the form of the original code.

    >>> doc_to_text({"question": " Which? ", "choices": ["w", "x", "y", "z"]})
    'Which?\nA. w\nB. x\nC. y\nD. z\nAnswer:'
    """
    lines = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, doc["choices"], strict=True)]
    return "\n".join([doc["question"].strip(), *lines, "Answer:"])


def score(doc: Row, results: list[tuple[float, bool]]) -> dict[str, float]:
    """Return whether the likeliest letter is the answer; overall, for the domain and for the subject.

    Between equals the first counts, as in lm-eval. A model whose likelihoods are not numbers (a merge
    gone wrong) is never right, where lm-eval would take it to say "A".
    """
    likelihoods = [likelihood for likelihood, _ in results]
    known = not any(math.isnan(likelihood) for likelihood in likelihoods)
    right = float(known and likelihoods.index(max(likelihoods)) == doc["answer"])
    return {"acc": right, **group_scores(TASK, right), **dict.fromkeys(metrics_of(doc["subject"]), right)}


class SubjectTask(ConfigurableTask):
    """A stock task whose few-shot pool is the question's own subject.

    lm-eval hands the question to a sampler only when test and few-shot split are one, so one task over
    many subjects would show every question the same five examples. This puts the subject's examples in
    the stock ``first_n`` sampler before each prompt is built, and changes nothing else.
    """

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        super().__init__(config={key: value for key, value in (config or {}).items() if key != "class"})
        self._pools: dict[str, list[Row]] = {}
        for row in self.fewshot_docs():
            self._pools.setdefault(row["subject"], []).append(row)

    def fewshot_context(self, doc: Row, num_fewshot: int, *args: Any, **kwargs: Any) -> Any:
        """Return the stock prompt, its examples drawn from the subject of `doc`."""
        pool = self._pools.get(doc["subject"], [])
        if num_fewshot > len(pool):
            raise EvaluationError(
                f"{self.config.task}: num_fewshot={num_fewshot}, but subject {doc['subject']!r} has "
                f"{len(pool)} examples in mmlu/dev; ask for {len(pool)} or fewer"
            )
        self.sampler.replace_df(pool)
        return super().fewshot_context(doc, num_fewshot, *args, **kwargs)
