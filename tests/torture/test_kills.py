"""Commands ended at random moments: nothing half-made loads, no lock stays, the second run ends as ever."""

from __future__ import annotations

import contextlib
import random
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from moments import SIGNALS, Moment
from nursery import Nursery, Outcome
from torture_world import COMMANDS, World, locked, remains, results, tree

SEED = 20
HANDLED = ("term", "int", "full", "disk")  # ends after which the command itself can clean up
ENDS = ("kill", "term", "int", "full", "disk", "memory")
WRITERS = tuple(command for command in COMMANDS if command != "push")
LOADERS_END = "cannot allocate memory for thread-local data: ABORT\n"  # glibc, with exit code 127
PATIENCE = 60.0  # seconds for orphaned workers to end, on a busy machine


class Kills:
    """One command: its undisturbed run, and what must hold after a run that was ended."""

    def __init__(self, world: World, nursery: Nursery, command: str) -> None:
        self.world, self.nursery, self.command = world, nursery, command
        self.inputs = self._inputs()
        world.clear()
        self.first = self._run()
        assert self.first.status == 0, self.first.log
        self.expected = results(command, world.place)
        self.bytes = sum(path.stat().st_size for path in world.place.rglob("*") if path.is_file())

    def moment(self, end: str, numbers: random.Random) -> Moment:
        """Return a random moment: by time for a third of the signals, else by event."""
        if end in SIGNALS and numbers.random() < 1 / 3:
            return Moment(end, seconds=numbers.uniform(0, self.first.seconds))
        return Moment(end, numbers.randint(1, self.first.events), slack=numbers.randrange(0, 4_000_000))

    def survives(self, moment: Moment, disk: int | None = None) -> Outcome:
        """Run to the moment (on a disk of so many bytes), check, run again, and check again."""
        with self._place(disk):
            outcome = self._run(moment)
            self._check(moment.end if disk is None else "disk", outcome)
            if disk:
                _mount(self.world.place, "remount,size=64m")
            if self.command == "experiment" or not self.world.out.exists():
                again = self._run()
                assert again.status == 0, (moment, outcome.log, again.log)
            assert results(self.command, self.world.place) == self.expected, moment
            assert remains(self.world.place) == [], moment
            assert self._inputs() == self.inputs
        return outcome

    def _check(self, end: str, outcome: Outcome) -> None:
        if end in HANDLED:
            assert remains(self.world.place) == [], (end, outcome.log)
        until = time.monotonic() + PATIENCE
        while held := locked(self.world.place):  # by the workers of a killed run, which clear up and end
            assert time.monotonic() < until, held
            time.sleep(0.05)
        found = results(self.command, self.world.place)
        assert found.items() <= self.expected.items(), (end, outcome.log)
        whole = found == self.expected
        if self.command != "experiment":
            assert whole == self.world.out.exists(), (end, outcome.log)
        if outcome.status == 0:
            assert whole, (end, outcome.log)
        if end in ("full", "disk") and outcome.status != 0:
            assert outcome.status == 2, outcome.log
            assert "no space left on the disk" in outcome.log.lower(), outcome.log
        aborted = outcome.status < 0 or outcome.log.endswith(LOADERS_END)  # C code that had no memory
        if end == "memory" and outcome.status and not aborted:
            assert outcome.status == 2, outcome.log
            assert not re.search(r"Traceback|panicked", outcome.log), outcome.log

    def _run(self, moment: Moment = Moment()) -> Outcome:
        words, setup = self.world.words(self.command), self.world.setup(self.command)
        return self.nursery.run(words, self.world.place, moment, setup=setup)

    def _inputs(self) -> dict[str, str]:
        return {name: digest for name, digest in tree(self.world.root).items() if "place/" not in name}

    @contextlib.contextmanager
    def _place(self, disk: int | None) -> Iterator[None]:
        self.world.clear()
        if disk is not None:
            _mount(self.world.place, f"size={disk}")
        try:
            yield
        finally:
            if disk is not None:
                subprocess.run(["umount", "-l", str(self.world.place)], check=True)


def _mount(place: Path, options: str) -> None:
    call = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")


def torture(kills: Kills, end: str, moments: int) -> None:
    """End a command at so many random moments, and say what became of it."""
    numbers = random.Random(f"{SEED} {kills.command} {end}")
    statuses: dict[int, int] = {}
    for _ in range(moments):
        disk = 4096 * numbers.randint(1, max(1, kills.bytes // 4096)) if end == "disk" else None
        moment = Moment() if end == "disk" else kills.moment(end, numbers)
        status = kills.survives(moment, disk).status
        statuses[status] = statuses.get(status, 0) + 1
    print(f"\n{kills.command} {end}: {moments} moments, exit statuses {statuses}; nothing lost")


@pytest.fixture(scope="module")
def kills(world: World, nursery: Nursery):
    known: dict[str, Kills] = {}

    def of(command: str) -> Kills:
        if command not in known:
            known[command] = Kills(world, nursery, command)
        return known[command]

    return of


QUICK = {"fisher": ("kill", "disk"), "yaml": ("kill", "full"), "lora": ENDS}


@pytest.mark.parametrize(("command", "end"), [(command, end) for command in QUICK for end in QUICK[command]])
def test_a_few_moments(kills, command, end):
    torture(kills(command), end, 1)


@pytest.mark.torture
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("command", WRITERS)
def test_many_moments(kills, command, end):
    torture(kills(command), end, 9 if command == "experiment" else 20)


@pytest.mark.torture
def test_workers_of_experiments_are_killed(kills):
    torture(kills("experiment"), "worker", 9)
