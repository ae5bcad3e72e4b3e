"""Imports point one way: metrics, core <- statistics, recipe <- plugin <- demo <- cli; see ALLOWED."""

import ast
import subprocess
import sys
from pathlib import Path

import sst_mergekit

PACKAGE = Path(sst_mergekit.__file__).parent
_BELOW = {
    "core",
    "statistics",
    "evaluation",
    "plugin",
    "baselines",
    "adapters",
    "merging",
    "training",
    "jobs",
}
ALLOWED = {
    "metrics": set(),
    "core": set(),
    "statistics": {"core"},
    "recipe": {"core", "statistics", "plugin", "baselines"},
    "plugin": {"core", "statistics"},
    "baselines": {"core", "statistics", "plugin"},
    "evaluation": {"statistics"},
    "comparison": {"evaluation"},
    "judging": {"statistics", "evaluation"},
    "jobs": set(),
    "training": {"core", "statistics", "plugin", "adapters"},
    "adapters": {"core", "statistics", "recipe", "plugin", "baselines"},
    "merging": {"core", "statistics", "recipe", "plugin"},
    "inspection": {"core", "statistics", "recipe", "plugin", "adapters"},
    "sharing": {"core", "statistics", "recipe", "evaluation", "comparison"},
    "testbeds": _BELOW,
    "experiments": {*_BELOW, "recipe", "testbeds", "sharing"},
    "reporting": {"evaluation", "comparison", "testbeds", "experiments"},
}
ALLOWED["cli"] = set(ALLOWED)
SHARED = {"metrics", "errors", "checkpoints", "files", "hub", "hub_faults", "resources"}


def imported(path: Path) -> set[str]:
    """Names below sst_mergekit that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        found |= {name.split(".")[1] for name in names if name.startswith("sst_mergekit.")}
    return found


def test_imports_point_one_way():
    for layer, allowed in ALLOWED.items():
        for path in (PACKAGE / layer).rglob("*.py"):
            above = imported(path) - allowed - SHARED - {layer}
            assert not above, f"{path.relative_to(PACKAGE)} imports {sorted(above)}"


def test_the_metrics_need_no_other_part():
    for path in (PACKAGE / "metrics").glob("*.py"):
        assert imported(path) <= {"metrics", "errors", "files"}


def test_every_folder_has_its_place():
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert folders == set(ALLOWED)


def test_the_core_needs_no_host():
    code = "import sys, sst_mergekit.core.geometries, sst_mergekit.baselines as ours; ours.found()\n"
    code += "print(sorted(m.split('.')[0] for m in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for host in ("mergekit", "lm_eval", "transformers", "peft", "datasets"):
        assert f"'{host}'" not in loaded


def test_help_needs_neither_torch_nor_scipy():
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom sst_mergekit.cli import main\n"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0\n"
        "print({'torch', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
