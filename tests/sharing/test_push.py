"""Pushes to a server on loopback, through the real client, and what comes back by a download."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner
from fake_hub import TOKEN, Repo
from sharing_world import make_model

from sst_mergekit.cli import main
from sst_mergekit.files import sha256

REPO = "user/merged"


def push(*arguments):
    return CliRunner().invoke(main, ["push", *map(str, arguments)])


def pushed(*arguments):
    result = push(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments):
    result = push(*arguments)
    assert result.exit_code == 2, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("sst-mergekit: error: ")]
    assert len(lines) == 1
    assert TOKEN not in result.output
    return lines[0]


def held(hub, branch="main", repo=REPO):
    return hub.repos[repo].branches[branch]


def test_a_model_goes_in_one_commit_and_comes_back_the_same(online, model, tmp_path):
    from huggingface_hub import snapshot_download

    output = pushed(model, REPO)
    assert online.repos[REPO].private
    assert online.count("/commit/") == 1
    assert online.count("PUT /lfs/") == 2  # the shards; the rest goes with the commit
    assert f"{online.url}/{REPO}/commit/x: 5 files" in output
    back = snapshot_download(REPO, local_dir=tmp_path / "back")
    names = sorted(path.name for path in model.iterdir())
    assert sorted(os.listdir(back)) == [".cache", *names]
    for name in names:
        assert (tmp_path / "back" / name).read_bytes() == (model / name).read_bytes()


def test_the_command_takes_endpoint_and_token_from_the_environment(hub, adapter, tmp_path):
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": TOKEN,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(tmp_path / "hf"),
    }
    line = [sys.executable, "-m", "sst_mergekit", "push", str(adapter), REPO, "--adapter"]
    done = subprocess.run(line, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert sorted(held(hub)) == ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    assert TOKEN not in done.stdout + done.stderr


def test_a_dry_run_prints_what_it_would_send_and_asks_nobody(online, model):
    (model / "samples_sst_jailbreak_x.jsonl").write_text("{}")
    (model / "checkpoint-5").mkdir()
    output = pushed(model, REPO, "--dry-run")
    sizes = {line.split()[1]: int(line.split()[0].replace(",", "")) for line in output.splitlines()[1:6]}
    assert sizes == {path.name: path.stat().st_size for path in model.iterdir() if path.name in sizes}
    assert len(sizes) == 5
    assert f"model to {REPO}, private; nothing was sent" in output
    assert "not sent: checkpoint-5/, samples_sst_jailbreak_x.jsonl" in output
    assert online.asked == []


def test_visibility_branch_and_message_are_as_asked(online, model):
    pushed(model, REPO, "--public", "--revision", "v2", "--message", "Second")
    assert not online.repos[REPO].private
    assert held(online) == {}
    assert len(held(online, "v2")) == 5


def test_what_is_public_is_not_pushed_to_unless_asked(online, model):
    online.repos[REPO] = Repo(private=False)
    assert f"{REPO}: is public; give --public" in refused(model, REPO)
    online.repos[REPO] = Repo(private=True)
    assert f"{REPO}: is private; make it public in its settings" in refused(model, REPO, "--public")
    assert online.count("/commit/") == 0


def test_a_repository_of_another_kind_is_refused(online, model):
    online.repos[REPO] = Repo(private=True, branches={"main": {"manifest.json": b"{}"}})
    assert f"{REPO}: holds a statistics already, this is a model" in refused(model, REPO)


def test_weights_of_an_earlier_push_are_deleted_in_the_same_commit(online, model, tmp_path):
    pushed(model, REPO)
    held(online)["notes.txt"] = b"theirs"
    pushed(make_model(tmp_path / "other", shards=3), REPO)
    shards = [name for name in held(online) if name.endswith(".safetensors")]
    assert shards == [f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)]
    assert held(online)["notes.txt"] == b"theirs"
    assert online.count("/commit/") == 2


def test_a_second_push_of_the_same_makes_no_commit(online, model):
    pushed(model, REPO)
    pushed(model, REPO)
    assert (online.count("/commit/"), online.count("PUT /lfs/")) == (1, 2)


def test_a_broken_upload_leaves_nothing_and_goes_on_where_it_stopped(online, model):
    second = sha256(model / "model-00002-of-00002.safetensors")
    online.failures[f"PUT /lfs/{second}"] = [0] * 6
    line = refused(model, REPO)
    assert f"no connection to {online.url}, or it broke" in line
    assert "goes on where it stopped" in line
    assert held(online) == {}
    before = online.count("PUT /lfs/")
    pushed(model, REPO)
    assert online.count("PUT /lfs/") == before + 1  # not the first shard again
    assert len(held(online)) == 5


@pytest.mark.parametrize("part", ["repos/create", "preupload", "/commit/"])
def test_a_rate_limit_is_waited_for(online, model, part):
    online.failures[part] = [429, 429]
    pushed(model, REPO)
    assert len(held(online)) == 5


def test_a_rate_limit_without_end_is_one_line(online, model):
    online.failures["repos/create"] = [429] * 99
    line = refused(model, REPO)
    assert "rate limit is reached; wait, then run the same command again" in line
    assert online.count("repos/create") == 5


@pytest.mark.parametrize(
    ("status", "match"),
    [
        (401, "does not accept the token; log in with 'hf auth login'"),
        (403, "token may not do this"),
        (409, "name is taken, or another upload"),
        (412, "somebody else committed meanwhile"),
        (500, "a fault of its own"),
    ],
)
def test_the_hubs_refusals_are_one_line(online, model, status, match):
    online.failures["/commit/"] = [status]
    line = refused(model, REPO)
    assert match in line
    assert f"HTTP {status}" in line


def test_a_wrong_token_is_refused_and_not_printed(online, model, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", wrong := "hf_" + "w" * 30)
    line = refused(model, REPO)
    assert "does not accept the token" in line
    assert wrong not in line


def test_without_a_token_nobody_is_asked(online, model, monkeypatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    assert f"{REPO}: no access token; log in" in refused(model, REPO)
    assert online.asked == []


def test_no_server_and_no_network_are_one_line(online, model, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "no connection to http://127.0.0.1:9" in refused(model, REPO)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "offline mode is on; unset HF_HUB_OFFLINE" in refused(model, REPO)


@pytest.mark.parametrize("name", ["merged", "a/b/c", "/merged", "user/"])
def test_a_name_without_user_is_refused(model, name):
    assert f"{name}: expected USER/REPO" in refused(model, name, "--dry-run")


def test_an_impossible_name_is_one_line(online, model):
    assert "user/--" in refused(model, "user/--bad--")
