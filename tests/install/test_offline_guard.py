"""The guard of tests/conftest.py: a test that reaches for the network fails, loopback works."""

from __future__ import annotations

import os
import socket
import urllib.request

import pytest

REFUSED = "a test reached for the network"
ELSEWHERE = "192.0.2.1"  # RFC 5737: an address that is nobody's


def test_connecting_elsewhere_is_refused() -> None:
    with socket.socket() as plug, pytest.raises(RuntimeError, match=REFUSED):
        plug.connect((ELSEWHERE, 80))


def test_sending_elsewhere_is_refused() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as plug, pytest.raises(RuntimeError, match=REFUSED):
        plug.sendto(b"", (ELSEWHERE, 53))


def test_names_are_not_looked_up() -> None:
    with pytest.raises(RuntimeError, match=r"network \(huggingface\.co\)"):
        urllib.request.urlopen("https://huggingface.co", timeout=1)


def test_loopback_works() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(("localhost", server.getsockname()[1]), timeout=5).close()


def test_hub_libraries_are_offline() -> None:
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
    assert {os.environ[name] for name in names} == {"1"}
