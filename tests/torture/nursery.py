"""A process that has imported everything once and forks a fresh one for every command, without imports.

Run as a program it reads jobs as JSON, one a line, and answers each with a line: how the command ended.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from moments import SIGNALS, Count, Moment, arm

sys.path.append(str(Path(__file__).resolve().parent.parent / "sharing"))

HUNG = 300  # seconds
HEAVY = (
    "sst_mergekit.cli",
    "sst_mergekit.cli.fisher",
    "sst_mergekit.cli.yaml",
    "sst_mergekit.cli.lora",
    "sst_mergekit.cli.refit",
    "sst_mergekit.experiments.run",
    "sst_mergekit.testbeds.scores",
    "sst_mergekit.evaluation.harness",
    "sst_mergekit.sharing.pushing",
    "sst_mergekit.sharing.statistics_card",
    "mergekit.scripts.run_yaml",
    "lm_eval",
    "peft",
    "datasets",
    "transformers.models.llama.modeling_llama",
    "matplotlib.figure",
)


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit status (negative: by which signal), events, seconds, and what it said."""

    status: int
    events: int
    seconds: float
    log: str


class Nursery:
    """The host's side: use it as a context manager.

    Attributes:
        pid: the file that holds the process id of the command that runs.
    """

    def __init__(self, folder: Path) -> None:
        self._log = folder / "command.log"
        self.pid = self._log.with_suffix(".pid")
        call = [sys.executable, str(Path(__file__).resolve())]
        self._process = subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait()

    def run(
        self,
        words: Sequence[str],
        place: Path,
        moment: Moment = Moment(),  # noqa: B008  (frozen)
        hub: str | None = None,
        setup: str | None = None,
    ) -> Outcome:
        """Return how ``sst-mergekit WORDS`` ended.

        Args:
            words: of the command.
            place: events on files under it are counted.
            moment: what happens to it.
            hub: address of the server that its Hub client talks to.
            setup: ``module:function`` that is called in the process before the command.
        """
        job = {"words": list(words), "place": str(place), "log": str(self._log), "hub": hub, "setup": setup}
        self._process.stdin.write(json.dumps(job | {"moment": dataclasses.asdict(moment)}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Outcome(**answer, log=self._log.read_text(errors="replace"))


def main() -> None:
    """Answer jobs until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for name in HEAVY:
        importlib.import_module(name)
    import torch

    import sst_mergekit

    torch.set_num_threads(1)
    sst_mergekit.register()
    for line in sys.stdin:
        job = json.loads(line)
        moment, count, started = Moment(**job["moment"]), Count(), time.monotonic()
        child = os.fork()
        if child == 0:
            _be(job, moment, count)
        Path(job["log"]).with_suffix(".pid").write_text(str(child))
        status = _ended(child, moment, started)
        answer = {"status": status, "events": count.value, "seconds": time.monotonic() - started}
        print(json.dumps(answer), file=answers, flush=True)


def _ended(child: int, moment: Moment, started: float) -> int:
    """Return the child's exit status, after it was sent the moment's signal at the moment's time."""
    due = moment.seconds
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        passed = time.monotonic() - started
        if due is not None and passed >= due:
            os.kill(child, SIGNALS[moment.end])
            due = None
        if passed > HUNG:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.002)


def _be(job: dict, moment: Moment, count: Count) -> None:
    """Become the command of a job; never return."""
    code = 1
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job's is to ignore it
    try:
        os.dup2(os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        os.dup2(1, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if job["hub"]:
            _talk_to(job["hub"])
        if job["setup"]:
            module, function = job["setup"].split(":")
            getattr(importlib.import_module(module), function)()
        from sst_mergekit.cli import main as command

        arm(moment, Path(job["place"]), count)
        command(job["words"], prog_name="sst-mergekit")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  (whatever it is, the log has it)
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _talk_to(address: str) -> None:
    """Let the Hub's client talk to a server on loopback, without waiting between its tries."""
    from huggingface_hub import close_session, constants
    from huggingface_hub.utils import _http

    constants.HF_HUB_OFFLINE = False
    constants.HF_HUB_DISABLE_XET = True
    constants.HF_HUB_DISABLE_PROGRESS_BARS = True
    constants.ENDPOINT = address
    default = constants._HF_DEFAULT_ENDPOINT
    constants.HUGGINGFACE_CO_URL_TEMPLATE = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(default, address)
    _http.time.sleep = lambda _seconds: None
    from fake_hub import TOKEN

    os.environ["HF_TOKEN"] = TOKEN
    close_session()


if __name__ == "__main__":
    main()
