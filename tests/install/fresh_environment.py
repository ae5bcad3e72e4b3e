"""A bare virtual environment that sees the dependencies installed here, but not this project."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = [
    *(
        "setup.py",
        "setup.cfg",
        "pyproject.toml",
        "LICENSE",
        "README.md",
        "sst_mergekit.pth",
        "sst_mergekit.start",
    ),
    *("sst_mergekit", "lm_eval_tasks", "merge_configs", "tests"),
]
SCRIPTS = Path(sysconfig.get_path("scripts"))
PIP_INSTALL = ["-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
PIP_INSTALL += ["--ignore-installed"]  # a copy that the dependencies' folder may hold is not looked at


@dataclass(frozen=True)
class Environment:
    """A virtual environment: its Python, its scripts, its site-packages."""

    folder: Path

    @property
    def scripts(self) -> Path:
        return self.folder / SCRIPTS.name

    @property
    def packages(self) -> Path:
        return Path(sysconfig.get_path("purelib", "venv", {"base": str(self.folder)}))

    def run(self, *command: object, **env: str) -> tuple[str, str]:
        """Return what a command of this environment prints and complains of; no variable is inherited."""
        program, *rest = map(str, command)
        done = subprocess.run(
            [self.scripts / program, *rest],
            cwd=self.folder,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{program} {rest}: {done.stdout}{done.stderr}"
        return done.stdout.strip(), done.stderr.strip()

    def python(self, code: str, **env: str) -> tuple[str, str]:
        return self.run("python", "-c", code, **env)

    def stock(self, script: str, *arguments: object) -> tuple[str, str]:
        """Return what one of mergekit's own console scripts prints when this environment's Python runs it."""
        return self.run("python", SCRIPTS / script, *arguments, HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")

    def listing(self) -> set[str]:
        return {
            str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.suffix != ".pyc"
        }


def fresh_environment(folder: Path) -> Environment:
    """Return an environment without this project; a folder named in a .pth has its own .pth files ignored."""
    venv.create(folder, with_pip=False, symlinks=True)
    environment = Environment(folder)
    (environment.packages / "_dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return environment


def copy_of_the_sources(folder: Path) -> Path:
    """Return a copy of what is built, so that build folders and old ones do not meet."""
    folder.mkdir()
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, folder)
    return folder
