"""Which downloaded rows go into which split: files of rows, from which no prompt is in two splits."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sst_mergekit.errors import DataError
from sst_mergekit.evaluation.mmlu import LETTERS, chosen_subjects, doc_to_text
from sst_mergekit.evaluation.outcome import outcome
from sst_mergekit.evaluation.rows import Row
from sst_mergekit.statistics.rows import prompt_hash
from sst_mergekit.testbeds.options import Sizes

Files = dict[str, list[Row]]
OVER_REFUSAL = "over_refusal/test.jsonl"
LARGER = "ask for fewer, or take --size 330k"


@dataclass(frozen=True)
class Wanted:
    """How much goes where.

    Attributes:
        sizes: of the mode: rows to train either expert on, and prompts of the test split.
        calibration: conversations that statistics are measured on, of harm and of benign ones each.
        development: harmful prompts of the development split.
        beavertails: ``30k`` or ``330k``.
        seed: of the choice.
    """

    sizes: Sizes
    calibration: int
    development: int
    beavertails: str
    seed: int


def split(files: Files, wanted: Wanted) -> Files:
    """Return the rows of each file of ``train``, ``calibration``, ``dev`` and ``test``.

    Raises:
        DataError: there are too few prompts.
    """
    rng = random.Random(wanted.seed)  # noqa: S311  (not for secrecy)
    found, harmless = _beavertails(files, wanted, rng)
    asked = _mmlu(files, wanted.sizes, rng) | _over_refusal(files, rng)
    benign = _benign(files["mmlu/auxiliary_train.jsonl"], harmless, asked, wanted, rng)
    programs = _sample(files["humaneval/test.jsonl"], wanted.sizes.programs, "humaneval.max_samples", rng)
    return found | asked | benign | {"test/humaneval/test.jsonl": programs}


def prompt_of(row: Row) -> str:
    """Return what a row asks; of a question with its choices, as ``sst_mmlu`` asks it."""
    return doc_to_text(row) if "question" in row else row["prompt"]


def _beavertails(files: Files, wanted: Wanted, rng: random.Random) -> tuple[Files, list[list[Row]]]:
    """Return the files of harm, and the harmless prompts: whole prompts go to one split, with all their rows.

    A prompt is harmful where one of its answers is unsafe. Its safe answers are what safety is taught by.
    """
    groups: dict[str, list[Row]] = {}
    for name in (name for name in files if name.startswith("beavertails/")):
        for row in files[name]:
            groups.setdefault(prompt_hash(row["prompt"]), []).append(row)
    keys = sorted(groups)
    rng.shuffle(keys)
    shuffled = [_of_one_spelling(groups[key]) for key in keys]
    harmful = [rows for rows in shuffled if not all(row["is_safe"] for row in rows)]
    asked = wanted.sizes.harmful + wanted.development
    if len(harmful) < asked:
        raise DataError(
            f"beavertails: {len(harmful)} harmful prompts, {asked} are wanted (eval_samples "
            f"{wanted.sizes.harmful} and --development {wanted.development}); {LARGER}"
        )
    test, dev = harmful[: wanted.sizes.harmful], harmful[wanted.sizes.harmful : asked]
    safe = [[_conversation(row) for row in rows if row["is_safe"]] for rows in harmful[asked:]]
    calibration, rest = _take(safe, wanted.calibration, "--calibration")
    train, _ = _take(rest, wanted.sizes.train, "train_samples")
    return {
        "train/safety.jsonl": train,
        "calibration/harm.jsonl": calibration,
        "dev/beavertails/30k_test.jsonl": [row for rows in dev for row in rows],
        "test/beavertails/30k_test.jsonl": [row for rows in test for row in rows],
    }, [rows for rows in shuffled if all(row["is_safe"] for row in rows)]


def _of_one_spelling(rows: list[Row]) -> list[Row]:
    """Return the rows of one prompt, which the task would take for several where they spell it apart."""
    return [{**row, "prompt": rows[0]["prompt"].strip()} for row in rows]


def _take(groups: Sequence[list[Row]], count: int, key: str) -> tuple[list[Row], Sequence[list[Row]]]:
    """Return `count` rows of the first groups, and the groups that none of them is of."""
    rows: list[Row] = []
    for number, group in enumerate(groups):
        if len(rows) >= count:
            return rows[:count], groups[number:]
        rows += group
    if len(rows) < count:
        raise DataError(f"beavertails: {len(rows)} safe answers left, {count} are wanted ({key}); {LARGER}")
    return rows[:count], []


def _conversation(row: Row) -> Row:
    return {"prompt": row["prompt"], "response": row["response"]}


def _mmlu(files: Files, sizes: Sizes, rng: random.Random) -> Files:
    questions = files["mmlu/test.jsonl"]
    subjects = chosen_subjects(sizes.subjects, list(dict.fromkeys(row["subject"] for row in questions)))
    asked = [row for row in questions if row["subject"] in subjects]
    test = _sample(asked, sizes.questions, "mmlu.max_samples", rng)
    hashes = {prompt_hash(prompt_of(row)) for row in test}
    validation = [row for row in files["mmlu/validation.jsonl"] if row["subject"] in subjects]
    dev = [row for row in validation if prompt_hash(prompt_of(row)) not in hashes]
    count = None if sizes.questions is None else min(sizes.questions, len(dev))
    examples = files["mmlu/dev.jsonl"]
    return {
        "dev/mmlu/test.jsonl": _sample(dev, count, "mmlu.max_samples", rng),
        "dev/mmlu/dev.jsonl": examples,
        "test/mmlu/test.jsonl": test,
        "test/mmlu/dev.jsonl": examples,
    }


def _over_refusal(files: Files, rng: random.Random) -> Files:
    """Return XSTest's harmless prompts, one half each."""
    safe = [row for row in files[OVER_REFUSAL] if row["label"] == "safe"]
    order = rng.sample(range(len(safe)), len(safe))
    halves = {"dev": sorted(order[: len(safe) // 2]), "test": sorted(order[len(safe) // 2 :])}
    return {f"{name}/{OVER_REFUSAL}": [safe[index] for index in half] for name, half in halves.items()}


def _benign(
    questions: Sequence[Row], harmless: Sequence[list[Row]], asked: Files, wanted: Wanted, rng: random.Random
) -> Files:
    """Return what utility is taught by: MMLU's own training questions and helpful answers, in turn.

    The helpful answers are BeaverTails' to harmless prompts, one each, and no refusals.
    """
    seen = {prompt_hash(prompt_of(row)) for rows in asked.values() for row in rows}
    order = rng.sample(range(len(questions)), len(questions))
    skill = _fresh((answered(questions[index]) for index in order), seen)
    helpful = _fresh((_conversation(rows[0]) for rows in harmless if _helps(rows[0])), seen)
    total = wanted.calibration + wanted.sizes.train
    pairs = zip(skill, helpful, strict=False)
    rows = list(itertools.islice(itertools.chain.from_iterable(pairs), total))
    if len(rows) < total:
        raise DataError(
            f"{len(rows)} benign conversations (questions of MMLU's auxiliary_train and helpful answers of "
            f"BeaverTails, half each), {total} are wanted (train_samples and --calibration); {LARGER}"
        )
    return {
        "calibration/benign.jsonl": rows[: wanted.calibration],
        "train/utility.jsonl": rows[wanted.calibration :],
    }


def _fresh(rows: Iterable[Row], seen: set[str]) -> Iterator[Row]:
    """Yield the rows whose prompt has not been seen, and count it as seen."""
    for row in rows:
        key = prompt_hash(row["prompt"])
        if key not in seen:
            seen.add(key)
            yield row


def answered(row: Row) -> Row:
    """Return a question as ``sst_mmlu`` asks it, and the letter that is right."""
    return {"prompt": doc_to_text(row), "response": LETTERS[row["answer"]]}


def _helps(row: Row) -> bool:
    return bool(outcome(row["response"], row["prompt"]).answered)


def _sample(rows: Sequence[Row], count: int | None, key: str, rng: random.Random) -> list[Row]:
    """Return `count` rows in their order (None: all)."""
    if count is None:
        return list(rows)
    if count > len(rows):
        raise DataError(f"{key}: {count} are wanted, there are {len(rows)}; ask for fewer, or null for all")
    return [rows[index] for index in sorted(rng.sample(range(len(rows)), count))]
