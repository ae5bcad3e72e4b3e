"""The facts of the runs behind a report: commands, seeds, versions, hashes, the state of the code, times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sst_mergekit.reporting.results import Body


@dataclass(frozen=True)
class Run:
    """One run, as its manifest says.

    Attributes:
        command: as it can be given again.
        seeds: of the run.
        code: commit, and whether the checkout was changed.
        config: SHA-256 of the configuration.
        versions: of Python and the packages, by name.
        data: SHA-256 of each data unit, by its name.
        phases: what was done.
        seconds: all of it.
    """

    command: str
    seeds: list[int]
    code: str
    config: str
    versions: Mapping[str, str]
    data: Mapping[str, str]
    phases: list[Mapping[str, Any]]
    seconds: float


def run_facts(manifest: Body) -> Run:
    """Return the facts in a manifest."""
    return Run(
        command=manifest["command"],
        seeds=manifest["seeds"],
        code=_code(manifest["git"]),
        config=manifest["config_sha256"],
        versions=manifest["versions"],
        data=manifest["data"],
        phases=manifest["phases"],
        seconds=manifest["seconds"],
    )


def _code(git: Mapping[str, Any] | None) -> str:
    if git is None:
        return "an installed package, not a checkout"
    return f"{git['commit']}, {'with' if git['changed'] else 'without'} uncommitted changes"
