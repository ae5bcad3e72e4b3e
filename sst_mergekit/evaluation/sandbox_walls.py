"""What is put around the sandbox's child: the value of ``SST_MERGEKIT_SANDBOX`` made into a command.

==============  ======================================================================================
``auto``        the first of ``bwrap``, ``unshare`` and ``none`` that works here (the default)
``bwrap``       bubblewrap: own processes, users, network; every file read-only
``unshare``     util-linux's: own processes, users, network
``none``        no wall: the child's own limits and its filter of system calls
``"COMMAND…"``  a command that ends in a Python 3.9 or later, such as
                ``docker run --rm -i --network none python:3.12-slim python``
==============  ======================================================================================

The child's arguments are put behind the command. It is started with an empty environment: write
``env NAME=VALUE COMMAND…`` for what it needs.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys

from sst_mergekit.errors import EvaluationError

VARIABLE = "SST_MERGEKIT_SANDBOX"
AUTO = "auto"
WALLS = {
    "bwrap": "bwrap --ro-bind / / --dev /dev --unshare-all --die-with-parent",
    "unshare": "unshare --user --map-root-user --net --pid --ipc --fork --kill-child",
    "none": "",
}


def chosen() -> str:
    """Return the choice made in the environment, ``auto`` if there is none."""
    return os.environ.get(VARIABLE, "").strip() or AUTO


def command(choice: str) -> tuple[str, ...]:
    """Return the command of one wall, ending in a Python, with its program's full path.

    Raises:
        EvaluationError: a command that cannot be read or is not there.
    """
    try:
        words = shlex.split(WALLS.get(choice, choice))
    except ValueError as error:
        raise EvaluationError(f"sandbox: cannot read the command {choice!r}: {error}") from error
    if choice in WALLS:
        words.append(sys.executable)
    program = shutil.which(words[0])
    if program is None:
        known = ", ".join([AUTO, *WALLS])
        raise EvaluationError(
            f"sandbox: {words[0]!r} is not on this machine; give another command, or {known}"
        )
    return (program, *words[1:])
