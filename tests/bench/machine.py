"""The machine and the versions that figures belong to."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "torch",
    "transformers",
    "mergekit",
    "lm_eval",
    "peft",
    "safetensors",
    "numpy",
    "kronfluence",
    "bergson",
)


def described() -> dict[str, str]:
    """Return what the figures depend on: processor, memory, load, versions, commit."""
    packages = {name: _version(name) for name in PACKAGES}
    processor = _field("/proc/cpuinfo", "model name") or platform.processor()
    return {
        "time": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "processor": f"{processor}, {os.cpu_count()} cores",
        "memory": _field("/proc/meminfo", "MemTotal") or "unknown",
        "load when it began": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "packages": ", ".join(f"{name} {found}" for name, found in packages.items() if found),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _field(path: str, name: str) -> str | None:
    if not Path(path).is_file():
        return None
    lines = Path(path).read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), None)


def _commit() -> str:
    def git(*words: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *words]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()

    changed = ", with changes that are not committed" if git("status", "--porcelain") else ""
    return (git("rev-parse", "--short", "HEAD") or "unknown") + changed
