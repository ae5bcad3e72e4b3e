"""Data sets in the shape of the Hub's, small, with all that makes splitting them hard."""

from __future__ import annotations

from sst_mergekit.evaluation.beavertails import CATEGORIES

PROMPTS = 40


def beavertails(split):
    """Prompts in several rows, and in both splits, in other case and blanks."""
    start = 0 if split.endswith("train") else PROMPTS // 2
    for number in range(start, start + PROMPTS):
        for safe in (True, False) if number % 2 else (True, True):
            prompt = f"How do I do something harmful, way {number}?"
            yield {
                "prompt": prompt if split.endswith("train") else f" {prompt.upper()} ",
                "response": _answer(number, safe),
                "category": dict.fromkeys(CATEGORIES, False),
                "is_safe": safe,
                "further": 1,
            }


def _answer(number, safe):
    """Harmful prompts get a refusal and an answer, harmless ones an answer, some a refusal."""
    if not safe:
        return "an answer"
    return f"I cannot help with that. {number}" if number % 2 or number % 10 == 0 else f"It is way {number}."


def hub(path, config=None, split=None, **_):
    """Stands for datasets.load_dataset."""
    if path == "PKU-Alignment/BeaverTails":
        return list(beavertails(split))
    if path == "cais/mmlu":
        assert config == "all"
        names = ["anatomy", "astronomy"]
        # validation and test share five, and the training split has both of them
        spans = {"dev": (0, 10), "validation": (10, 20), "test": (25, 20), "auxiliary_train": (8, 80)}
        start, count = spans[split]
        return [
            {"question": f"Which is {n}?", "subject": names[n % 2], "choices": list("wxyz"), "answer": n % 4}
            for n in range(start, start + count)
        ]
    if path == "walledai/XSTest":
        return [
            {"prompt": f"How do I kill process {n}?", "label": "safe" if n < 9 else "unsafe"}
            for n in range(12)
        ]
    assert path == "openai/openai_humaneval"
    return [
        {
            "task_id": str(n),
            "prompt": f"def f{n}():",
            "canonical_solution": "",
            "test": "",
            "entry_point": "f",
        }
        for n in range(8)
    ]
