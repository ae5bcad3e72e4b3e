"""Headless Chromium by its own driver, which speaks JSON over loopback (the W3C's WebDriver protocol)."""

from __future__ import annotations

import base64
import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
MISSING = "Chromium or its driver is not installed (Debian: apt-get install chromium chromium-driver)"


class Browser:
    """One page in one window."""

    def __init__(self, address: str, width: int, height: int, dark: bool) -> None:
        """Start a browser with an empty profile; `close` ends it."""
        self._profile = tempfile.mkdtemp()
        flags = [*FLAGS, f"--user-data-dir={self._profile}", f"--window-size={width},{height}"]
        options: dict[str, Any] = {"binary": CHROMIUM, "args": flags}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self._requests = requests.Session()
        self._requests.trust_env = False  # no proxy: the driver is on this machine
        self._address = address
        self._address += (
            f"/session/{self._call('/session', {'capabilities': {'alwaysMatch': wanted}})['sessionId']}"
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", features=[scheme])
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def _call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self._requests.post(self._address + path, json=body or {}, timeout=60)
        value = answer.json()["value"]
        assert answer.ok, value
        return value

    def devtools(self, command: str, **parameters: Any) -> Any:
        """Return what a command of the DevTools protocol returns."""
        return self._call("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def open(self, page: Path) -> None:
        """Load a file and wait until it is loaded."""
        self._call("/url", {"url": page.as_uri()})

    def script(self, code: str, *arguments: Any) -> Any:
        """Return what a function's body returns in the page."""
        return self._call("/execute/sync", {"script": code, "args": list(arguments)})

    def pointer(self, *actions: dict[str, Any]) -> None:
        """Move and press the mouse, in pixels of the window."""
        mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}}
        self._call("/actions", {"actions": [mouse | {"actions": list(actions)}]})

    def keys(self, text: str) -> None:
        """Type into what has the focus."""
        presses = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
        self._call("/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": presses}]})

    def console(self) -> list[str]:
        """Return what the page has written to the console since it was last asked, errors included."""
        return [entry["message"] for entry in self._call("/se/log", {"type": "browser"})]

    def screenshot(self, path: Path) -> None:
        """Write what the window shows as PNG."""
        answer = self._requests.get(self._address + "/screenshot", timeout=60)
        path.write_bytes(base64.b64decode(answer.json()["value"]))

    def close(self) -> None:
        """End the browser and remove its profile."""
        self._requests.delete(self._address, timeout=60)
        shutil.rmtree(self._profile, ignore_errors=True)


def at(x: float, y: float) -> dict[str, Any]:
    """A move of the mouse."""
    return {"type": "pointerMove", "x": round(x), "y": round(y), "duration": 0, "origin": "viewport"}


DOWN, UP = {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}


@contextlib.contextmanager
def browser(width: int = 1280, height: int = 900, dark: bool = False) -> Iterator[Browser]:
    """A browser for a block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert DRIVER
    driver = subprocess.Popen(
        [DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(port)
        page = Browser(f"http://127.0.0.1:{port}", width, height, dark)
        try:
            yield page
        finally:
            page.close()
    finally:
        driver.terminate()
        driver.wait()


def _wait_for(port: int, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < until, "the driver does not answer"
            time.sleep(0.05)
