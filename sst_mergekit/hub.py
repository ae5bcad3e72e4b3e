"""Fetching files of a Hub repository, with one line that says why it could not be done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sst_mergekit.errors import SstError


def download(
    repo: str, revision: str | None, patterns: Sequence[str], source: str, error: type[SstError]
) -> Path:
    """Return the local folder with the files of a repository that fit `patterns`.

    What is in the Hub's cache is not fetched again; a download that broke off goes on where it stopped.

    Args:
        repo: ``user/name``.
        revision: branch, tag or commit; None for the default branch.
        patterns: of file names, as in a shell.
        source: as the user wrote it, for the message.
        error: what to raise where there is no such repository, or it cannot be read.
    """
    from huggingface_hub import constants, snapshot_download

    from sst_mergekit.hub_faults import RAISED, one_line

    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=list(patterns)))
    except RAISED as fault:
        reason = one_line(fault, constants.ENDPOINT)
        raise error(
            f"{source}: neither a local directory nor a Hub repository that can be read ({reason})"
        ) from None
