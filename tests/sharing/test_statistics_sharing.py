"""Statistics on the Hub: their card, and recipes that name them by repository and revision."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from fake_hub import TOKEN
from huggingface_hub import ModelCard
from test_push import held, pushed
from tiny import tiny_data, tiny_llama, tiny_statistics

from sst_mergekit.cli import main
from sst_mergekit.errors import StatisticsError
from sst_mergekit.files import sha256
from sst_mergekit.sharing.statistics_card import statistics_card
from sst_mergekit.statistics.store import open_statistics

REPO = "user/fisher"


def test_the_card_says_what_was_measured(statistics, tmp_path):
    card = ModelCard(statistics_card(statistics, REPO))
    assert card.data.tags == ["sst-mergekit", "fisher-information"]
    assert card.data.base_model is None  # or the Hub would list statistics among the model's fine-tunes
    file = statistics / "statistics-00001-of-00001.safetensors"
    for text in (
        "`user/base` at `r1`",
        "`guard` (local)",
        "`user/questions`, split `train`",
        f"| `{file.name}` | `{sha256(file)}` |",
        f"`{sha256(statistics / 'manifest.json')}`",
        f"fisher: {REPO}}}",
    ):
        assert text in card.text
    assert str(tmp_path) not in card.text


def test_a_card_written_by_hand_stays(statistics):
    (statistics / "README.md").write_text("---\nlicense: mit\n---\n# Mine\n")
    for _ in range(2):
        done = CliRunner().invoke(main, ["card", str(statistics)])
        assert done.exit_code == 0, done.output
    text = (statistics / "README.md").read_text()
    card = ModelCard(text)
    assert card.data.license == "mit"
    assert card.text.startswith("# Mine\n")
    assert text.count("card begins") == 1
    assert statistics_card(statistics, "fisher") == text


def test_statistics_are_pushed_with_their_card_and_read_back_by_name(online, statistics):
    pushed(statistics, REPO, "--statistics", "--revision", "v1")
    assert not (statistics / "README.md").exists()
    assert b"fisher-information" in held(online, "v1", REPO)["README.md"]
    store = open_statistics(f"{REPO}@v1")
    record = store.manifest.layers["w"]
    assert store.tensors(record, ("input",))["input"].trace() == 3
    with pytest.raises(StatisticsError, match=f"{REPO}@v9: neither a local directory nor a Hub repository"):
        open_statistics(f"{REPO}@v9")


def test_one_byte_changed_on_the_hub_is_noticed(online, statistics):
    pushed(statistics, REPO)
    name = "statistics-00001-of-00001.safetensors"
    content = bytearray(held(online, "main", REPO)[name])
    content[-1] ^= 1
    held(online, "main", REPO)[name] = bytes(content)
    store = open_statistics(REPO)
    with pytest.raises(
        StatisticsError, match="its SHA-256 is not the one in manifest.json; copy or download"
    ):
        store.tensors(store.manifest.layers["w"], ("input",))


FILE = "statistics-00001-of-00001.safetensors"


@pytest.fixture
def on_hub(online, statistics):
    pushed(statistics, REPO, "--statistics")
    online.asked.clear()
    return online


@pytest.mark.parametrize(
    ("status", "match"),
    [
        (401, "does not accept the token; log in with 'hf auth login'"),
        (403, "token may not do this; ask for access"),
        (429, "rate limit is reached; wait, then run the same command again"),
        (500, "a fault of its own; try again later"),
        (0, "no connection to .*, or it broke"),
    ],
)
def test_a_download_that_fails_is_one_line(on_hub, status, match):
    on_hub.failures["/api/models"] = [status] * 20
    with pytest.raises(StatisticsError, match=f"^{REPO}: .*{match}") as raised:
        open_statistics(REPO)
    assert TOKEN not in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_a_rate_limit_that_passes_is_waited_for(on_hub):
    on_hub.failures["/resolve/"] = [429, 429]
    assert open_statistics(REPO).manifest.kind == "kronecker"


def test_a_download_that_broke_goes_on_where_it_stopped(on_hub, statistics):
    on_hub.failures[f"GET /{REPO}/resolve"] = [-100]  # whichever file comes first
    store = open_statistics(REPO)
    assert not any(on_hub.failures.values())
    assert on_hub.count(f"GET /{REPO}/resolve") == 3  # two files, one of them in two parts
    assert store.tensors(store.manifest.layers["w"], ("input",))["input"].trace() == 3
    got = Path(store.directory)
    assert (got / FILE).read_bytes() == (statistics / FILE).read_bytes()
    assert (got / "manifest.json").read_bytes() == (statistics / "manifest.json").read_bytes()


@pytest.fixture
def merge_world(tmp_path, monkeypatch):
    """Models, and statistics of both experts, in the working directory."""
    monkeypatch.chdir(tmp_path)
    data = tiny_data(tmp_path / "data.jsonl")
    for seed, name in enumerate(("base", "utility", "safety")):
        tiny_llama(tmp_path / name, seed)
        if seed:
            tiny_statistics(tmp_path / f"fisher-{name}", tmp_path / name, data)
    return tmp_path


def recipe(name: str, harm: str) -> str:
    """Write a recipe whose statistics of harm are `harm`, and return its name."""
    experts = (("utility", "./fisher-utility"), ("safety", harm))
    models = [{"model": f"./{role}", "parameters": {"role": role, "fisher": f}} for role, f in experts]
    body = {"merge_method": "sst", "base_model": "./base", "models": models, "dtype": "float32"}
    Path(name).write_text(yaml.safe_dump(body))
    return name


def test_a_recipe_names_statistics_by_repository_and_commit(online, merge_world):
    """Checked, merged and described like those on the disk; another commit is another thing."""
    pushed("fisher-safety", REPO)
    commit = online.repos[REPO].commits["main"]
    local, hub = recipe("local.yml", "./fisher-safety"), recipe("hub.yml", f"{REPO}@{commit}")
    for name, out in ((local, "from-disk"), (hub, "from-hub")):
        for line in (["check", name], ["yaml", name, out, "--quiet"]):
            done = CliRunner().invoke(main, line)
            assert done.exit_code == 0, done.output
    assert Path("from-hub/model.safetensors").read_bytes() == Path("from-disk/model.safetensors").read_bytes()
    done = CliRunner().invoke(main, ["card", "from-hub"])
    assert done.exit_code == 0, done.output
    line = next(
        line for line in Path("from-hub/README.md").read_text().splitlines() if REPO in line and "|" in line
    )
    assert commit in line
    assert sha256(Path("fisher-safety/manifest.json")) in line

    other = bytearray(held(online, "main", REPO)[FILE])
    other[-1] ^= 1
    held(online, "main", REPO)[FILE] = bytes(other)
    online.repos[REPO].commits["main"] = "f" * 40
    moved = recipe("moved.yml", f"{REPO}@{'f' * 40}")
    failed = CliRunner().invoke(main, ["yaml", moved, "tampered", "--quiet"])
    assert failed.exit_code == 2
    assert "its SHA-256 is not the one in manifest.json" in failed.stderr
    assert not os.path.exists("tampered")
