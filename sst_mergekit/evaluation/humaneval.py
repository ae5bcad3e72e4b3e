"""The task ``sst_humaneval``: greedy pass@1, each program run in a child process with limits."""

from __future__ import annotations

import ast
import re
from typing import Any

from sst_mergekit.evaluation.response import without_thinking
from sst_mergekit.evaluation.rows import Row, Source, read_rows, to_dataset
from sst_mergekit.evaluation.sandbox import check, run_tests
from sst_mergekit.evaluation.selection import select
from sst_mergekit.evaluation.weights import group_scores

TASK = "sst_humaneval"
STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
_SOURCE = Source("humaneval/test.jsonl", "openai/openai_humaneval", "test")
_FIELDS = {"task_id": str, "prompt": str, "canonical_solution": str, "test": str, "entry_point": str}
_FENCE = re.compile(
    r"```[ \t]*(?:python|py|python3)?[ \t]*\n(.*?)(?:\n[ \t]*```|```|\Z)", re.DOTALL | re.IGNORECASE
)
_CODE_START = re.compile(r"^(?:from \w|import \w|def \w|class \w|@\w|async def \w)", re.MULTILINE)


def load(data_dir: str | None = None, **metadata: Any) -> dict[str, Any]:
    """Return ``{"test": problems}``.

    Raises:
        DataError: rows that are missing or damaged.
        EvaluationError: the sandbox that was chosen does not work here.
    """
    check()
    return {"test": to_dataset(select(TASK, read_rows(_SOURCE, _FIELDS, data_dir), metadata))}


def score(doc: Row, results: list[str]) -> dict[str, float]:
    """Return whether the completed program passes the problem's tests.

    The tests have the prompt's own helpers: a program that replaces one does not change what is tested.
    """
    tests = f"{_before(doc['prompt'], doc['entry_point'])}\n{doc['test']}\ncheck({doc['entry_point']})\n"
    passed = float(run_tests(program(doc["prompt"], results[0], doc["entry_point"]), tests).passed)
    return {"pass_at_1": passed, **group_scores(TASK, passed)}


def program(prompt: str, response: str, entry_point: str) -> str:
    r"""Return the program that `response` makes of `prompt`.

    A continuation is put behind the prompt and cut where the function ends: at a new top-level class,
    function, comment, ``if`` or ``print``, the stop marks of the original code. A response that
    restates ``def entry_point`` (a chat model's habit) stands for itself, behind what the prompt has
    before that function; prose around it is dropped. The first fenced block that has the function,
    else the first one, is taken out of its fence.

    >>> program("def f(x):\n", "    return x\nprint(f(1))", "f")
    'def f(x):\n    return x\n'
    """
    code = _unfenced(response, entry_point)
    if not _head(entry_point).search(code):
        cuts = [at for at in (code.find(stop) for stop in STOPS) if at >= 0]
        return prompt + code[: min(cuts, default=len(code))] + "\n"
    start = _CODE_START.search(code)
    return _before(prompt, entry_point) + _longest_parsable(code[start.start() if start else 0 :]) + "\n"


def _head(entry_point: str) -> re.Pattern[str]:
    return re.compile(rf"^(?:async )?def {re.escape(entry_point)}\b", re.MULTILINE)


def _before(prompt: str, entry_point: str) -> str:
    """Return what the prompt has before the function: imports and helpers."""
    head = _head(entry_point).search(prompt)
    return prompt[: head.start()] if head else ""


def _unfenced(response: str, entry_point: str) -> str:
    text = without_thinking(response)
    before = text.split("```")[0]
    if before == text or before.lstrip("\n")[:1].isspace():
        return before  # no fence, or one that closes what the prompt had begun
    blocks = _FENCE.findall(text)
    with_function = [block for block in blocks if f"def {entry_point}" in block]
    return (with_function or blocks or [before])[0]


def _longest_parsable(code: str) -> str:
    lines = code.split("\n")
    for end in range(len(lines), 0, -1):
        try:
            ast.parse("\n".join(lines[:end]))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        return "\n".join(lines[:end])
    return code
