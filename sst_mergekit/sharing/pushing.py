"""Sending a directory to the Hub: all of it in one commit, private unless asked otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sst_mergekit.errors import SharingError
from sst_mergekit.hub_faults import RAISED, one_line, status_of
from sst_mergekit.sharing.kinds import kind_told_by

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import ModelInfo

ATTEMPTS = 5  # under a rate limit
LONGEST_WAIT = 300  # seconds
Result = TypeVar("Result")


@dataclass(frozen=True)
class Target:
    """Where a push goes: ``user/name``, a branch (None: the default one), and who may see it."""

    repo: str
    revision: str | None = None
    public: bool = False
    endpoint: str | None = None


def push(files: Mapping[str, Path | bytes], kind: str, target: Target, message: str) -> str:
    """Send files to a model repository in one commit and return the commit's address.

    The repository is made if it is not there. Weights that an earlier push left and this one does not
    have are deleted in the same commit, for loaders prefer some names to others. Large files that are on
    the Hub already are not sent again, so a push that broke off goes on where it stopped.

    Args:
        files: name in the repository -> a file here, or its content.
        kind: of `kinds.TOLD_BY`; a repository of another kind is refused.
        target: where to.
        message: of the commit.

    Raises:
        SharingError: the Hub cannot be reached or refuses, or the repository is not what it should be.
    """
    from huggingface_hub import HfApi, get_token

    if get_token() is None:
        raise SharingError(f"{target.repo}: no access token; log in with 'hf auth login', or set HF_TOKEN")
    api = HfApi(endpoint=target.endpoint, library_name="sst-mergekit")
    try:
        return _patiently(lambda: _push(api, files, kind, target, message))
    except RAISED as error:
        raise SharingError(f"{target.repo}: {one_line(error, api.endpoint)}") from None


def _push(api: HfApi, files: Mapping[str, Path | bytes], kind: str, target: Target, message: str) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    _require_repository(api, kind, target)
    if target.revision:
        api.create_branch(target.repo, branch=target.revision, exist_ok=True)
    there = api.model_info(target.repo, revision=target.revision)
    operations: list = [CommitOperationAdd(name, content) for name, content in files.items()]
    operations += [CommitOperationDelete(name) for name in stale(_names(there), files)]
    made = api.create_commit(
        target.repo,
        operations,
        commit_message=message,
        revision=target.revision,
        parent_commit=there.sha,
    )
    return str(made.commit_url)


def _require_repository(api: HfApi, kind: str, target: Target) -> None:
    """Make the repository, or raise SharingError if the one that is there is public or of another kind."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        there = api.model_info(target.repo)
    except RepositoryNotFoundError:
        api.create_repo(target.repo, private=not target.public, exist_ok=True)
        return
    if not there.private and not target.public:
        raise SharingError(f"{target.repo}: is public; give --public, or choose another name")
    if there.private and target.public:
        raise SharingError(f"{target.repo}: is private; make it public in its settings, or drop --public")
    found = kind_told_by(_names(there))
    if found not in (None, kind):
        raise SharingError(f"{target.repo}: holds a {found} already, this is a {kind}; choose another name")


def _names(info: ModelInfo) -> list[str]:
    return [item.rfilename for item in info.siblings or []]


def stale(there: list[str], files: Mapping[str, Path | bytes]) -> list[str]:
    """Return the weights in a repository, and their indices, that a push does not replace.

    >>> stale(["README.md", "model.safetensors", "a/b.safetensors"], {"model-00001-of-2.safetensors": b""})
    ['model.safetensors']
    """
    ends = (".safetensors", ".safetensors.index.json")
    return [name for name in there if name.endswith(ends) and "/" not in name and name not in files]


def _patiently(call: Callable[[], Result]) -> Result:
    """Return what a call returns, after waiting as long as the Hub's rate limit asks."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return call()
        except RAISED as error:
            if status_of(error) != 429 or attempt == ATTEMPTS:
                raise
            time.sleep(_wait(error, attempt))
    raise AssertionError("unreachable: the last attempt returns or raises")


def _wait(error: BaseException, attempt: int) -> float:
    response = getattr(error, "response", None)
    asked = response.headers.get("Retry-After", "") if response is not None else ""
    return min(float(asked) if asked.isdigit() else 5 * 2**attempt, LONGEST_WAIT)
