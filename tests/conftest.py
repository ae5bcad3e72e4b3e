"""What every test relies on: no network, one thread, no deadlines, Hub libraries told to stay offline."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
from collections.abc import Callable

import hypothesis
import pytest
import torch

for _name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # also for the processes that tests start
torch.set_num_threads(1)
hypothesis.settings.register_profile("untimed", deadline=None)  # machines may be busy
hypothesis.settings.load_profile("untimed")

_SOCKET_CALLS = {name: getattr(socket.socket, name) for name in ("connect", "connect_ex", "sendto")}
_GETADDRINFO = socket.getaddrinfo


def _is_local(host: object) -> bool:
    if not isinstance(host, str) or host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse_unless_local(host: object) -> None:
    if not _is_local(host):
        raise RuntimeError(f"a test reached for the network ({host}); make it local, or mark it `network`")


def _guarded(real: Callable) -> Callable:
    def call(self: socket.socket, *args: object) -> object:
        address = args[-1]  # (host, port, …) of the internet families; a path for a local socket
        _refuse_unless_local(address[0] if isinstance(address, tuple) else None)
        return real(self, *args)

    return call


def _guarded_getaddrinfo(host: str | bytes | None, *args: object, **kwargs: object) -> object:
    _refuse_unless_local(host.decode() if isinstance(host, bytes) else host)
    return _GETADDRINFO(host, *args, **kwargs)


def pytest_configure() -> None:
    """Close the network before anything is collected, so that imports are covered too."""
    for name, real in _SOCKET_CALLS.items():
        setattr(socket.socket, name, _guarded(real))
    socket.getaddrinfo = _guarded_getaddrinfo


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files of slow tests first, so that of two processes neither ends long before the other."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def _network_where_marked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("network"):
        for name, real in _SOCKET_CALLS.items():
            monkeypatch.setattr(socket.socket, name, real)
        monkeypatch.setattr(socket, "getaddrinfo", _GETADDRINFO)


@pytest.fixture(autouse=True)
def _logging_as_it_was():
    """Undo what a test silences: the next one may look at the log."""
    yield
    logging.disable(logging.NOTSET)
