"""Answers of several models to the same prompts, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sst_mergekit.reporting.scored import Scored

SHOWN = ("utility-expert", "safety-expert", "Task-Arithmetic", "SST-Merge")
# task -> (heading, whether its prompts are harmful)
TASKS = {
    "sst_over_refusal": ("Harmless look-alikes", False),
    "sst_humaneval": ("Programs", False),
    "sst_beavertails_refusal": ("Harmful prompts", True),
    "sst_jailbreak": ("Harmful prompts under jailbreak wrappings", True),
}


@dataclass(frozen=True)
class TaskExamples:
    """The first prompts of one task: each with its groups, and each model's response and its outcome."""

    heading: str
    harmful: bool
    examples: list[dict[str, Any]]


@dataclass(frozen=True)
class Examples:
    """All that is shown, of one seed.

    Attributes:
        seed: which.
        models: whose answers.
        tasks: by task.
        reason: why nothing is shown.
    """

    seed: str | None
    models: list[str]
    tasks: list[TaskExamples]
    reason: str | None = None


def side_by_side(scored: list[Scored]) -> Examples:
    """Return the answers of the first seed, from the scores of one or more results."""
    usable = [one for one in scored if not one.missing]
    if not usable:
        reason = scored[0].missing if scored else "no experiment with answers is in this folder"
        return Examples(None, [], [], reason)
    tasks = [_task(one, task) for task in TASKS for one in usable]
    found = [task for task in tasks if task]
    models = [name for name in SHOWN if any(name in one.models for one in usable)]
    return Examples(next(iter(usable[0].places)), models, found)


def _task(scored: Scored, task: str) -> TaskExamples | None:
    seed = next(iter(scored.places))
    answers = {name: scored.answers(seed, name) for name in SHOWN if name in scored.models}
    if not all(task in each for each in answers.values()) or not answers:
        return None
    rows = zip(*(each[task] for each in answers.values()), strict=True)
    examples = [
        {"prompt": row[0]["prompt"], "groups": row[0]["groups"], "answers": _answers(answers, row)}
        for row in rows
    ]
    return TaskExamples(*TASKS[task], examples)


def _answers(models: Iterable[str], row: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    return [
        {"model": name, "response": each["response"], "outcome": each["outcome"]}
        for name, each in zip(models, row, strict=True)
    ]
