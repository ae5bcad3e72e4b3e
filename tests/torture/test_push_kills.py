"""A push ended at every request and at random times: the repository has all of it or nothing."""

from __future__ import annotations

import contextlib
import os
import random
import time
from pathlib import Path

import pytest
from fake_hub import TOKEN, Handler, Hub, serve
from moments import SIGNALS, Moment
from nursery import Nursery, Outcome
from torture_world import World

REPO = "user/merged"


class Deadly(Handler):
    """Sends a signal to the client at one request, before it is answered or after."""

    def handle_one(self):
        hub = self.hub
        hub.number += 1
        if hub.strike == (hub.number, "before"):
            os.kill(int(hub.client.read_text()), hub.signal)
        super().handle_one()
        if hub.strike == (hub.number, "after"):
            os.kill(int(hub.client.read_text()), hub.signal)

    do_GET = do_HEAD = do_POST = do_PUT = handle_one

    def handle(self):
        with contextlib.suppress(OSError, ValueError):  # the client is gone, in the midst of its request
            super().handle()


class DeadlyHub(Hub):
    """A Hub that ends its client.

    Attributes:
        strike: (number of the request, ``before`` or ``after`` it), or None.
        signal: that it sends.
        client: the file with the client's process id.
    """

    def __init__(self, client: Path) -> None:
        super().__init__()
        self.number, self.strike, self.signal, self.client = 0, None, 0, client


class Pushes:
    def __init__(self, world: World, nursery: Nursery) -> None:
        self.world, self.nursery = world, nursery
        first = self._hub()
        started = time.monotonic()
        outcome = self.push(first)
        self.seconds, self.requests = time.monotonic() - started, first.number
        assert outcome.status == 0, outcome.log
        self.expected = dict(first.repos[REPO].branches["main"])
        assert {"model.safetensors", "config.json", "README.md"} <= set(self.expected)

    def push(self, hub: DeadlyHub, moment: Moment = Moment()) -> Outcome:
        server = serve(hub, Deadly)
        server.daemon_threads = False  # it ends when what the client had asked is done
        try:
            self.world.clear()
            return self.nursery.run(self.world.words("push"), self.world.place, moment, hub=hub.url)
        finally:
            server.shutdown()
            server.server_close()

    def survives(self, end: str, strike: tuple[int, str] | None, seconds: float | None) -> int:
        hub = self._hub()
        hub.strike, hub.signal = strike, SIGNALS[end]
        outcome = self.push(hub, Moment(end, seconds=seconds) if seconds is not None else Moment())
        held = hub.repos[REPO].branches["main"] if REPO in hub.repos else {}
        assert held in ({}, self.expected), (end, strike, outcome.log)
        assert outcome.status != 0 or held == self.expected
        assert TOKEN not in outcome.log
        hub.strike = None
        again = self.push(hub)
        assert again.status == 0, again.log
        assert hub.repos[REPO].branches["main"] == self.expected
        assert hub.repos[REPO].private
        return outcome.status

    def _hub(self) -> DeadlyHub:
        return DeadlyHub(self.nursery.pid)


@pytest.fixture(scope="module")
def pushes(world, nursery) -> Pushes:
    return Pushes(world, nursery)


@pytest.mark.parametrize("end", ["kill", "term"])
def test_a_few_requests(pushes, end):
    for number in (1, pushes.requests):
        for when in ("before", "after"):
            assert pushes.survives(end, (number, when), None) is not None


@pytest.mark.torture
@pytest.mark.parametrize("end", SIGNALS)
def test_every_request_and_many_times(pushes, end):
    numbers, statuses = random.Random(end), []
    strikes = [(n, when) for n in range(1, pushes.requests + 1) for when in ("before", "after")]
    statuses += [pushes.survives(end, strike, None) for strike in strikes]
    times = [numbers.uniform(0, pushes.seconds) for _ in range(20)]
    statuses += [pushes.survives(end, None, seconds) for seconds in times]
    counts = {status: statuses.count(status) for status in sorted(set(statuses))}
    print(f"\npush {end}: {len(statuses)} moments, exit statuses {counts}; nothing lost")
