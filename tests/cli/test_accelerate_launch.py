"""`accelerate launch` with two CPU processes (gloo): the statistics and the scores of one process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from itertools import chain
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from mixtures import mixture, save
from tiny import tiny_adapter, tiny_data, tiny_llama

from sst_mergekit.cli import main
from sst_mergekit.errors import SstError, StatisticsError
from sst_mergekit.statistics.store import open_statistics
from sst_mergekit.statistics.team import Team, joined

ROWS = tuple((f"w{i} w{i + 1}", "w3 " * (1 + i % 4) + f"w{i}") for i in range(7))
KINDS = {
    "kronecker": ("--labels", "sampled"),
    "diagonal": (),
    "activation": (),
    "subspace": ("--patch", "{0}/base", "{0}/base+{0}/adapter"),
}


def commands(folder: Path, name: str) -> list[list[str]]:
    """Return what is measured and scored, into folders that `name` begins."""
    common = ["--model", f"{folder}/base", "--adapter", f"{folder}/adapter", "--data", f"{folder}/data.jsonl"]
    common += ["--batch-size", "2", "--device", "cpu", "--quiet"]
    calls = [
        ["fisher", *common, "--kind", kind, "--out", f"{folder}/{name}-{kind}"]
        + [word.format(folder) for word in more]
        for kind, more in KINDS.items()
    ]
    experts = ["--model", f"{folder}/mixture", *common[4:], "--expert-tokens", "24"]
    calls.append(["fisher", *experts, "--out", f"{folder}/{name}-mixture"])
    scored = ["--model_args", f"pretrained={folder}/base,dtype=float32", "--device", "cpu", "--log_samples"]
    scored += ["--tasks", "sst_beavertails_refusal,sst_mmlu_0shot", "--batch_size", "2", "--gen_kwargs"]
    scored += ["max_gen_toks=8", "--metadata", json.dumps({"data_dir": f"{folder}/small"})]
    scored += ["--output_path", f"{folder}/{name}-scores", "--adapters", f"{folder}/adapter"]
    return [*calls, ["eval", "--model", "hf", *scored]]


def run_all(folder: str, name: str) -> None:
    probe = patch("torch.utils.collect_env.get_pretty_env_info", lambda: "not asked")  # takes seconds
    with joined("cpu") as team, probe:  # one start for all commands
        assert team.size == (2 if name == "two" else 1)
        for words in commands(Path(folder), name):
            main(words, standalone_mode=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of statistics and scores of one process and of two."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))
    from small_tasks import write_small_data

    where = tmp_path_factory.mktemp("launch")
    tiny_adapter(where / "adapter", tiny_llama(where / "base", 0, max_position_embeddings=2048), 1)
    tiny_data(where / "data.jsonl", ROWS)
    save(mixture("mixtral"), where / "mixture")
    write_small_data(where / "small")
    run_all(str(where), "one")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1"]
    launch += ["--num_processes", "2", "--main_process_port", port, "--mixed_precision", "no"]
    launch += ["--dynamo_backend", "no", __file__, str(where)]
    path = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])
    done = subprocess.run(
        launch, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    (where / "printed").write_text(done.stdout)
    return where


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*KINDS, "mixture"])
def test_two_processes_measure_what_one_does(folder: Path, kind: str) -> None:
    one, two = (open_statistics(str(folder / f"{name}-{kind}")) for name in ("one", "two"))
    assert one.manifest.data == two.manifest.data
    assert one.manifest.data["sequences"] == len(ROWS)
    assert one.manifest.layers.keys() == two.manifest.layers.keys()
    assert one.manifest.pooled == two.manifest.pooled
    assert 0 < len(one.manifest.pooled) < 16 if kind == "mixture" else not one.manifest.pooled
    for record in one.manifest.layers.values():
        for name in record.tensors:
            alone, together = (s.tensors(record, (name,))[name] for s in (one, two))
            torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5 * float(alone.abs().max()))


@pytest.mark.slow
def test_the_first_process_alone_says_what_was_measured(folder: Path) -> None:
    printed = (folder / "printed").read_text()
    assert printed.count("7 sequences") == len(KINDS) + 1


@pytest.mark.slow
def test_two_processes_score_what_one_does(folder: Path) -> None:
    """Some categories of harm are met by one of the processes alone."""
    [one], [two] = (list((folder / f"{name}-scores").rglob("results_*.json")) for name in ("one", "two"))
    tables = [json.loads(path.read_text())["results"] for path in (one, two)]
    for task, row in tables[0].items():
        assert tables[1][task] == pytest.approx(row, nan_ok=True), task
    assert len(tables[0]["sst_beavertails_refusal"]) > 12
    answers = []
    for path in (one, two):
        lines = chain(*(p.read_text().splitlines() for p in sorted(path.parent.glob("samples_*.jsonl"))))
        rows = map(json.loads, lines)
        answers.append(sorted((row["prompt_hash"], row["doc_id"], str(row["resps"])[:40]) for row in rows))
    assert answers[0] == answers[1]
    assert len(answers[0]) == 9


def test_a_process_alone_gives_back_what_it_was_given() -> None:
    team, rows = Team(), torch.ones(2, 3)
    assert team.share([1, 2]) == [1, 2]
    assert team.woven(rows) is rows
    assert team.told("x") == "x"


def test_fewer_samples_than_processes_are_refused() -> None:
    with pytest.raises(SstError, match="2 samples for 3 processes: start at most 2"):
        Team(0, 3).share([1, 2])


def test_a_sum_that_a_process_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def gather(names: list, _mine: list) -> None:
        names[:] = [["input"], ["input", "output"]]

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    with pytest.raises(StatisticsError, match=r"layer\.weight: not reached in every process"):
        Team(0, 2).add({"input": torch.ones(1)}, "layer.weight")


if __name__ == "__main__":
    run_all(sys.argv[1], "two")
