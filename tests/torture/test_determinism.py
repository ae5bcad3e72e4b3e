"""The same inputs give the same bytes: in fresh processes, under any hash seed, with one thread or two."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from torture_world import World, tree

COMMANDS = {
    "fisher": "fisher --model {root}/utility --data {root}/data.jsonl --out {out}/made",
    "fisher diagonal": "fisher --model {root}/utility --data {root}/data.jsonl --out {out}/made "
    "--kind diagonal",
    "yaml": "yaml {root}/full.yml {out}/made",
    "lora": "lora {root}/adapters.yml {out}/made",
    "refit": "refit --model {root}/utility --patch {root}/base {root}/safety --harm {root}/data.jsonl "
    "--benign {root}/data.jsonl --out {out}/made --steps 4 --quiet",
    "card": "card {root}/fisher-guard",
}
PROGRAM = """
import sys, torch
torch.set_num_threads(int(sys.argv[1]))
from sst_mergekit.cli import main
for words in sys.argv[2:]:
    main(words.split(), standalone_mode=False)
"""


def made(world: World, commands: list[str], threads: int, hash_seed: int) -> dict[str, str]:
    """Return the bytes that a fresh process makes by all the commands."""
    found = {}
    world.clear()
    lines = []
    for number, command in enumerate(commands):
        out = world.place / str(number)
        lines.append(COMMANDS[command].format(root=world.root, out=out))
    environment = {"OMP_NUM_THREADS": str(threads), "PYTHONHASHSEED": str(hash_seed)}
    call = [sys.executable, "-c", PROGRAM, str(threads), *lines]
    done = subprocess.run(call, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for number, command in enumerate(commands):
        folder = world.root / "fisher-guard" if command == "card" else world.place / str(number)
        found |= {f"{command}: {name}": digest for name, digest in tree(folder).items()}
    world.clear()
    return found


@pytest.fixture(scope="module")
def first(world: World) -> dict[str, str]:
    card = world.root / "fisher-guard" / "README.md"
    try:
        return made(world, list(COMMANDS), threads=1, hash_seed=1)
    finally:
        card.unlink(missing_ok=True)


FULL = pytest.mark.torture


@pytest.mark.parametrize(
    ("threads", "hash_seed"), [(2, 2), pytest.param(1, 1, marks=FULL), pytest.param(1, 3, marks=FULL)]
)
def test_the_same_bytes(world: World, first: dict[str, str], threads: int, hash_seed: int) -> None:
    assert len(first) > 10
    card = world.root / "fisher-guard" / "README.md"
    try:
        again = made(world, list(COMMANDS), threads, hash_seed)
    finally:
        card.unlink(missing_ok=True)
    assert again == first
