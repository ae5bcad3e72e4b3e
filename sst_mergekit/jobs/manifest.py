"""What a run was: command, seeds, versions, git state, hashes of the data, and times."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sst_mergekit.jobs.runner import Done

PACKAGES = ("sst-mergekit", "torch", "transformers", "peft", "mergekit", "lm_eval", "datasets")


def manifest(
    command: str, config: Path, seeds: Sequence[int], data: Iterable[tuple[str, Path]], phases: Sequence[Done]
) -> dict[str, Any]:
    """Return the manifest of a run.

    Args:
        command: as it can be given again.
        config: the configuration file.
        seeds: of the run.
        data: what each data unit is, and where.
        phases: what was made, with times.
    """
    return {
        "command": command,
        "config_sha256": hashlib.sha256(config.read_bytes()).hexdigest(),
        "seeds": list(seeds),
        "versions": versions(),
        "git": git_state(Path(__file__).resolve()),
        "data": {name: tree_hash(path) for name, path in data},
        "phases": [asdict(phase) for phase in phases],
        "seconds": round(sum(phase.seconds for phase in phases), 1),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    from importlib.metadata import version

    return {"python": sys.version.split()[0], **{name: version(name) for name in PACKAGES}}


def git_state(file: Path) -> dict[str, Any] | None:
    """Return the commit that `file` is of, and whether its checkout is changed; None if it is not tracked."""

    def git(*words: str) -> str | None:
        call = ["git", "-C", str(file.parent), *words]
        try:
            done = subprocess.run(call, capture_output=True, text=True, check=False)  # noqa: S603, S607
        except FileNotFoundError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if git("ls-files", "--error-unmatch", str(file)) is None:
        return None
    return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain"))}


def tree_hash(folder: Path) -> str:
    """Return the SHA-256 over names and contents of all files in a folder."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return digest.hexdigest()
