"""The README's commands, options, files, figures, Python and error messages are the program's."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from pathlib import Path

import click
import pytest
import torch
from seed_models import SIZES, config

import sst_mergekit
from sst_mergekit.cli import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "merge_configs/README.md").read_text(encoding="utf-8")


def fenced(language: str, text: str = README) -> list[str]:
    return [block for name, block in re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL) if name == language]


def section(title: str) -> str:
    return re.split(r"(?m)^## ", README.partition(f"\n## {title}\n")[2])[0]


def calls() -> list[list[str]]:
    """Return every ``sst-mergekit`` command in the shell blocks and the running text, split into words."""
    lines = "\n".join(fenced("sh")).replace("\\\n", " ").splitlines()
    lines += [code.replace("\n", " ") for code in re.findall(r"`(sst-mergekit [^`]+)`", README)]
    found = []
    for line in lines:
        inner = r"\$\((sst-mergekit [^)]*)\)"
        found += [each.split()[1:] for each in re.findall(inner, line)]
        line = re.sub(inner, "HERE", line)  # noqa: PLW2901
        try:
            words = shlex.split(line.replace("…", "..."), comments=True)
        except ValueError:  # a quotation over several lines
            words = line.split()
        for part in " ".join(words).replace("&&", ";").split(";"):
            if "sst-mergekit" in (each := part.split()):
                found.append(each[each.index("sst-mergekit") + 1 :])
    return [words for words in found if words]


def options_of(command: click.Command) -> set[str]:
    return {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)} | {"--help"}


def of_hosts() -> dict[str, set[str]]:
    """Return the options that lm-eval and mergekit read, by our command that hands them on."""
    from lm_eval._cli import HarnessCLI
    from mergekit.scripts.run_yaml import main as mergekit_yaml

    from sst_mergekit.cli.eval import OURS

    theirs = HarnessCLI()._parser._subparsers._group_actions[0].choices["run"]._option_string_actions
    return {"eval": set(theirs) | set(re.findall(r"--\w+", OURS)), "yaml": options_of(mergekit_yaml)}


def test_every_command_and_option_named_exists() -> None:
    hosts, seen = of_hosts(), 0
    for words in calls():
        name, *rest = words
        if name.startswith("-"):
            continue
        assert name in COMMANDS, words
        command = importlib.import_module(COMMANDS[name][0]).command
        if isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
            command = command.commands[rest[0]]
        known = options_of(command) | hosts.get(name, set())
        for option in (word.partition("=")[0] for word in rest if re.match(r"--[a-z]", word)):
            assert option in known, f"{option} of: sst-mergekit {' '.join(words)}"
            seen += 1
    assert seen > 60


def test_the_table_of_commands_is_whole_and_its_options_exist() -> None:
    rows = re.findall(r"(?m)^\| `sst-mergekit ([a-z-]+)[^`]*` \| (.*) \|$", section("Commands"))
    assert sorted(name for name, _ in rows) == sorted(COMMANDS)
    hosts = of_hosts()
    for name, text in rows:
        command = importlib.import_module(COMMANDS[name][0]).command
        for option in re.findall(r"`(--[\w-]+)", text):
            if option != "--lora-merge-cache":  # mergekit's, which the text says is not needed
                assert option in options_of(command) | hosts.get(name, set()), (name, option)


def test_every_recipe_named_is_there() -> None:
    models = ("mistral-7b", "llama-3.1-8b", "qwen2.5-14b")
    for text in (README, GUIDE):
        for name in re.findall(r"merge_configs/[\w./$-]+\.yml", text):
            for model in models if "$NAME" in name else ("",):
                assert (ROOT / name.replace("$NAME", model)).is_file(), name
    for model in models:
        assert f"| `{model}` |" in README
        assert (ROOT / "merge_configs" / model / "lora/sst.yml").is_file()


@pytest.mark.parametrize("name", SIZES)
def test_the_sizes_of_the_seed_models(name: str) -> None:
    import transformers

    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config(name))
    parameters = sum(each.numel() for each in model.parameters())
    linear = [m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and n != "lm_head"]
    adapter = 4 * 16 * sum(m.in_features + m.out_features for m in linear)
    training = 4 * parameters * 200 * 8 * 512 / 400e12
    merge = 4 * 2 * parameters / 1e9
    row = next(line for line in README.splitlines() if line.startswith(f"| `{name}` | `"))
    assert row.split(" | ", 2)[2] == (
        f"{parameters / 1e9:.3f} billion | {2 * parameters / 1e9:.1f} GB | {adapter / 1e6:.0f} MB | "
        f"{training:.0f} s | {merge:.0f} s |"
    )


def test_the_python_that_is_shown_is_python() -> None:
    for block in fenced("python"):
        ast.parse(re.sub(r"(?m)^  ", "", block) if block.startswith("  ") else block)
    names = set(re.findall(r"\bsst\.(\w+)", section("In Python")))
    assert names <= set(sst_mergekit.__all__), names - set(sst_mergekit.__all__)


def test_every_piece_can_be_imported() -> None:
    for name in re.findall(r"`(sst_mergekit(?:\.\w+)+)`", section("In Python")):
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name


def texts() -> list[str]:
    """Return every text in the package's code, what is filled in as a blank sign."""
    found = []
    for path in (ROOT / "sst_mergekit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [n.value if isinstance(n, ast.Constant) else "\0" for n in node.values]
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def test_every_message_of_the_tables_is_one_of_ours() -> None:
    tables = [part.split("\n\n")[0] for part in README.split("| message | remedy |")[1:]]
    messages = re.findall(r"(?m)^\| `([^`]+)` \| .+ \|$", "\n".join(tables))
    known = texts()
    assert len(messages) > 25
    unknown = []
    for message in messages:
        parts = [part for part in re.split(r"\s*…\s*", message) if part]
        if not any(all(part in text for part in parts) for text in known):
            unknown.append(message)
    assert unknown == []


def test_links_within_the_readme_hold() -> None:
    anchors = {
        re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")
        for title in re.findall(r"(?m)^#+ (.+)$", README)
    }
    for target in re.findall(r"\]\(#([^)]+)\)", README):
        assert target in anchors, target
