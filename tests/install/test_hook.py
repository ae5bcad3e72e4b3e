"""The start-up hook, in a Python that sees our start-up files and a mergekit of a few lines."""

from __future__ import annotations

import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from handmade_site import ROOT, Site, with_small_mergekit

from sst_mergekit import _hook

SHOW = "from mergekit.merge_methods import registry; print(*registry.names())"
MADE = "from mergekit.merge_methods.registry import Method\ndef merge_methods(): return {0}"
UNAVAILABLE = "sst-mergekit: merge method 'sst' is not available: "


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return with_small_mergekit(tmp_path / "site")


@pytest.mark.parametrize(
    "first",
    [
        "mergekit.merge_methods.registry",
        "mergekit.merge_methods",
        "sst_mergekit.plugin",
        "sst_mergekit.plugin.method",
        "sst_mergekit.plugin.parameters",
        "sst_mergekit.registration",
    ],
)
def test_sst_is_known_whatever_is_imported_first(site: Site, first: str) -> None:
    assert site.python(f"import {first}\n{SHOW}") == ("linear sst", "")


def test_warnings_as_errors_change_nothing(site: Site) -> None:
    assert site.python(SHOW, "-W", "error") == ("linear sst", "")


def test_start_up_imports_two_small_modules(site: Site, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "other.pth").write_text("# reading any .pth makes Python 3.13 load a codec\n")
    before = f"site.addsitedir({str(tmp_path / 'other')!r}); before = set(sys.modules)"
    new = "print(*sorted(set(sys.modules) - before))"
    assert site.python(new, before=before) == ("sst_mergekit sst_mergekit._hook", "")


@pytest.mark.parametrize(
    ("value", "names"), [("1", "linear"), ("yes", "linear"), ("0", "linear sst"), ("", "linear sst")]
)
def test_opting_out(site: Site, value: str, names: str) -> None:
    assert site.python(SHOW, env={"SST_MERGEKIT_NO_HOOK": value}) == (names, "")


def test_registering_by_hand_after_opting_out(site: Site) -> None:
    twice = "import sst_mergekit; sst_mergekit.register(); sst_mergekit.register()\n"
    assert site.python(twice + SHOW, env={"SST_MERGEKIT_NO_HOOK": "1"}) == ("linear sst", "")


def test_registering_by_hand_beside_the_hook(site: Site) -> None:
    twice = "import sst_mergekit; sst_mergekit.register(); sst_mergekit.register()\n"
    assert site.python(twice + SHOW) == ("linear sst", "")


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
        ("sst =", "SyntaxError: invalid syntax (method.py, line 1)"),
        (
            "from mergekit.merge_methods.registry import Method\nsst = Method('linear')",
            "ValueError: Merge method 'linear' is already registered",
        ),
    ],
)
def test_a_broken_plugin_costs_one_line(site: Site, method: str, reason: str) -> None:
    site.write("sst_mergekit/plugin/method.py", method)
    assert site.python(SHOW) == ("linear", UNAVAILABLE + reason)


@pytest.mark.parametrize(
    ("baselines", "names", "reason"),
    [
        ("import no_such_library", "linear sst", "ModuleNotFoundError: No module named 'no_such_library'"),
        (
            MADE.format("[Method('sst'), Method('led')]"),
            "led linear sst",
            "ValueError: Merge method 'sst' is already registered",
        ),
    ],
)
def test_broken_baselines_cost_one_line_and_not_sst(
    site: Site, baselines: str, names: str, reason: str
) -> None:
    site.write("sst_mergekit/baselines/__init__.py", baselines)
    said = f"sst-mergekit: baselines are not available: {reason}"
    assert site.python(SHOW) == (names, said)


def test_a_broken_method_costs_sst_alone(site: Site) -> None:
    site.write("sst_mergekit/plugin/method.py", "raise OSError('broken')")
    site.write("sst_mergekit/baselines/__init__.py", MADE.format("[Method('led')]"))
    assert site.python(SHOW) == ("led linear", UNAVAILABLE + "OSError: broken")


def test_a_name_taken_by_another_package_is_not_ours(site: Site) -> None:
    site.write(
        "other.py", "from mergekit.merge_methods import registry; registry.register(registry.Method('sst'))"
    )
    code = (
        "import other, sst_mergekit\ntry: sst_mergekit.register()\nexcept ValueError as error: print(error)"
    )
    opted_out = {"SST_MERGEKIT_NO_HOOK": "1"}
    assert site.python(code, env=opted_out) == ("Merge method 'sst' is already registered", "")


def test_what_cannot_take_adapters_costs_one_line(site: Site) -> None:
    site.write("mergekit/merge.py", "from mergekit.merge_methods import registry\nrun_merge = print")
    site.write("sst_mergekit/merging/__init__.py", "")
    site.write("sst_mergekit/merging/hosting.py", "raise OSError('two\\nlines')")
    code = "from mergekit.merge import run_merge\nrun_merge('merged')"
    said = "sst-mergekit: adapters need --lora-merge-cache: OSError: two lines"
    assert site.python(code) == ("merged", said)


def test_a_broken_mergekit_says_so_itself(site: Site) -> None:
    site.write("mergekit/merge_methods/registry.py", "raise OSError('broken')")
    code = "try: import mergekit.merge_methods.registry\nexcept OSError as error: print(error)"
    assert site.python(code) == ("broken", "")


@pytest.mark.parametrize("left", [[], ["sst_mergekit"], ["sst_mergekit", "sst_mergekit/__init__.py"]])
def test_start_up_files_left_behind_are_silent(site: Site, left: list[str]) -> None:
    shutil.rmtree(site.folder / "sst_mergekit")
    (site.folder / "sst_mergekit.start").unlink()  # Python 3.15's own message for these cannot be helped
    for name in left:
        (site.folder / name).touch() if name.endswith(".py") else (site.folder / name).mkdir()
    assert site.python(SHOW) == ("linear", "")


def test_the_registry_is_left_as_it_would_be(site: Site) -> None:
    code = (
        "import inspect\nfrom mergekit.merge_methods import registry\n"
        "loaders = registry.__loader__, registry.__spec__.loader\n"
        "print(*{type(loader).__name__ for loader in loaders}, 'class Method' in inspect.getsource(registry))"
    )
    assert site.python(code) == ("SourceFileLoader True", "")


def test_a_reloaded_registry_knows_sst_again(site: Site) -> None:
    code = "import importlib\nfrom mergekit.merge_methods import registry\nimportlib.reload(registry)\n"
    assert site.python(code + SHOW) == ("linear sst", "")


def test_finders_without_find_spec_are_passed_over(site: Site) -> None:
    old = "class Old:\n def find_module(self, *rest): return None\nsys.meta_path[1:1] = [Old()]\n"
    assert site.python(old + SHOW) == ("linear sst", "")


def test_installing_twice_adds_one_finder(monkeypatch: pytest.MonkeyPatch) -> None:
    meta_path: list[object] = []
    monkeypatch.setattr(_hook.sys, "meta_path", meta_path)
    monkeypatch.delenv("SST_MERGEKIT_NO_HOOK", raising=False)
    _hook.install()
    _hook.install()
    assert meta_path == [_hook.FINDER]


def test_a_module_that_nobody_can_find_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_hook.sys, "meta_path", [_hook.FINDER])
    assert _hook.FINDER.find_spec(_hook.REGISTRY) is None


def test_the_start_file_names_the_callable() -> None:
    lines = [line for line in (ROOT / "sst_mergekit.start").read_text("ascii").splitlines() if line[0] != "#"]
    assert [pkgutil.resolve_name(line) for line in lines] == [_hook.install]


def test_a_finder_that_asks_all_others_does_not_go_round_in_circles():
    code = (
        "import sys\nfrom sst_mergekit import _hook\n_hook.install()\n"
        "class Other:\n"
        "    def find_spec(self, *asked):\n"
        "        found = (finder.find_spec(*asked) for finder in sys.meta_path if finder is not self)\n"
        "        return next((spec for spec in found if spec), None)\n"
        "sys.meta_path.insert(0, Other())\n"
        "import mergekit.merge_methods.registry as registry\n"
        "print('sst' in {method.spec.name for method in registry.registered_methods()})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "True"
