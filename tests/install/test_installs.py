"""Wheel, sdist and editable install, each in a fresh environment, beside stock mergekit."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest
from fresh_environment import PIP_INSTALL, Environment, fresh_environment
from merging import same_weights, sst_recipe, written

from sst_mergekit import __version__

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["wheel", "sdist", "editable"])
def what(request: pytest.FixtureRequest, sources: Path) -> list[str]:
    """What pip is asked to install."""
    if request.param == "editable":
        return ["--editable", str(sources)]
    return [str(request.getfixturevalue(request.param))]


@pytest.fixture(scope="module")
def installed(what: list[str], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    environment = fresh_environment(tmp_path_factory.mktemp("environment") / "venv")
    environment.run("python", *PIP_INSTALL, *what)
    return environment


def contents(package: Path) -> set[str]:
    """Return the files of a wheel, or those of an sdist below its one folder."""
    if package.suffix == ".whl":
        return set(zipfile.ZipFile(package).namelist())
    with tarfile.open(package) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def modules(sources: Path) -> set[str]:
    return {str(path.relative_to(sources)) for path in (sources / "sst_mergekit").rglob("*.py")}


def templates(sources: Path) -> set[str]:
    return {str(path.relative_to(sources)) for path in (sources / "sst_mergekit").rglob("templates/*")}


def data(sources: Path) -> set[str]:
    paths = (path for folder in ("lm_eval_tasks", "merge_configs") for path in (sources / folder).rglob("*"))
    return {str(path.relative_to(sources)) for path in paths if path.is_file()}


def test_the_wheel_holds_the_package_and_the_data(wheel: Path, sources: Path, junk: str) -> None:
    inside = {name for name in contents(wheel) if name.startswith("sst_mergekit/")}
    assert templates(sources)
    ours = modules(sources) | templates(sources) | {"sst_mergekit/py.typed"}
    assert inside == ours | {f"sst_mergekit/{name}" for name in data(sources) - {junk}}


def test_the_wheel_puts_nothing_else_at_the_top(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in contents(wheel)}
    info = f"sst_mergekit-{__version__}.dist-info"
    assert tops == {"sst_mergekit", "sst_mergekit.pth", "sst_mergekit.start", info}


def test_the_sdist_holds_all_that_a_build_needs(sdist: Path, sources: Path, junk: str) -> None:
    needed = {"setup.py", "setup.cfg", "pyproject.toml", "LICENSE", "sst_mergekit.pth", "sst_mergekit.start"}
    assert needed | modules(sources) | templates(sources) | data(sources) - {junk} <= contents(sdist)


def test_mergekit_knows_sst_with_no_import_of_ours(installed: Environment) -> None:
    code = "from mergekit.merge_methods import registry; print(registry.get('sst').spec.name)"
    assert installed.python(code) == ("sst", "")


def test_stock_mergekit_yaml_merges(installed: Environment, models: dict[str, str], tmp_path: Path) -> None:
    recipe = written(tmp_path, sst_recipe(models))
    installed.stock("mergekit-yaml", recipe, tmp_path / "merged", "--no-copy-tokenizer")
    assert same_weights(tmp_path / "merged", models["skilled"], patches=1)


def test_start_up_imports_two_small_modules_of_ours(installed: Environment) -> None:
    heavy = "('sst_mergekit', 'mergekit', 'torch', 'click')"
    code = f"import sys; print(*sorted(name for name in sys.modules if name.startswith({heavy})))"
    assert installed.python(code) == ("sst_mergekit sst_mergekit._hook", "")


def test_the_data_folders_are_found(installed: Environment) -> None:
    code = "from sst_mergekit import resources; print(resources.tasks_path(), resources.recipes_path())"
    tasks, recipes = map(Path, installed.python(code)[0].split())
    assert (tasks / "planted/_template").is_file()
    assert (recipes / "deep/down/recipe.yml").is_file()


def test_our_command_is_there(installed: Environment) -> None:
    assert installed.run("sst-mergekit", "--version") == (f"sst-mergekit, version {__version__}", "")


def test_uninstalling_leaves_nothing(what: list[str], tmp_path: Path) -> None:
    environment = fresh_environment(tmp_path / "venv")
    before = environment.listing()
    environment.run("python", *PIP_INSTALL, *what)
    assert environment.listing() > before
    environment.run("python", "-m", "pip", "uninstall", "--quiet", "--yes", "sst-mergekit")
    assert environment.listing() == before
