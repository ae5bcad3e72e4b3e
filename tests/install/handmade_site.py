"""A site-packages folder made by hand: our start-up files, our hook, and a mergekit of a few lines."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
STARTUP_FILES = ("sst_mergekit.pth", "sst_mergekit.start")
HOOK = ("__init__.py", "_hook.py", "plugin/__init__.py", "registration.py")

MERGEKIT = """
class Method:
    def __init__(self, name):
        self.spec = type("Spec", (), {"name": name})

_METHODS = {}

def register(method):
    if method.spec.name in _METHODS:
        raise ValueError(f"Merge method {method.spec.name!r} is already registered")
    _METHODS[method.spec.name] = method

def registered_methods():
    return tuple(_METHODS.values())

def names():
    return sorted(_METHODS)

register(Method("linear"))
"""
METHOD = """
from mergekit.merge_methods.registry import Method
from sst_mergekit.plugin.parameters import NAME

sst = Method(NAME)
"""
PARAMETERS = """
import mergekit.merge_methods

NAME = "sst"
"""


@dataclass(frozen=True)
class Site:
    """A folder of packages that Python can be started with as its only site-packages."""

    folder: Path

    def write(self, name: str, text: str) -> None:
        """Write one file of the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def python(
        self, code: str, *flags: str, before: str = "", env: dict[str, str] | None = None
    ) -> tuple[str, str]:
        """Return what a new Python prints and complains of; `-S -E` keep this environment's own files out."""
        start = f"import site, sys\n{before}\nsite.addsitedir({str(self.folder)!r})\n{code}"
        command = [sys.executable, "-S", "-E", *flags, "-c", start]
        done = subprocess.run(
            command, cwd=self.folder.parent, env=env or {}, capture_output=True, text=True, check=True
        )
        return done.stdout.strip(), done.stderr.strip()


def with_startup_files(folder: Path) -> Site:
    """Return a site that holds the start-up files and the hook, and nothing that they could start."""
    for name in (*STARTUP_FILES, *(f"sst_mergekit/{part}" for part in HOOK)):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    return Site(folder)


def with_small_mergekit(folder: Path) -> Site:
    """Return a site with a mergekit that has one method, `linear`, and an `sst` that works."""
    site = with_startup_files(folder)
    site.write("mergekit/__init__.py", "")
    site.write("mergekit/merge_methods/__init__.py", "from mergekit.merge_methods import registry")
    site.write("mergekit/merge_methods/registry.py", MERGEKIT)
    site.write("sst_mergekit/plugin/method.py", METHOD)
    site.write("sst_mergekit/plugin/parameters.py", PARAMETERS)
    site.write("sst_mergekit/baselines/__init__.py", "def merge_methods(): return ()")
    return site
