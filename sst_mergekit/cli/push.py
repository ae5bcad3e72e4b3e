"""``sst-mergekit push``: send a merge, an adapter or statistics to the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

import click

from sst_mergekit.cli import output
from sst_mergekit.errors import SharingError


@click.command("push", cls=output.Command)
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("repo", metavar="USER/REPO")
@click.option("--adapter", "asked", flag_value="adapter", help="OUT is an adapter.  [default: as found]")
@click.option("--statistics", "asked", flag_value="statistics", help="OUT is of 'sst-mergekit fisher'.")
@click.option("--public", is_flag=True, help="For everyone to see.  [default: private]")
@click.option("--revision", metavar="BRANCH", help="Branch to commit to, made if needed.  [default: main]")
@click.option("--message", help="Of the commit.  [default: what is pushed]")
@click.option("--dry-run", is_flag=True, help="Print what would be sent; send nothing.")
def command(
    out: Path,
    repo: str,
    asked: str | None,
    public: bool,
    revision: str | None,
    message: str | None,
    dry_run: bool,
) -> None:
    """Send the merge, adapter or statistics in OUT to the repository USER/REPO, in one commit.

    Only files of known names are sent: weights (safetensors), configuration, tokenizer, recipe, card.
    Samples, caches and checkpoints never are; pickled weights and links that leave OUT are refused. The
    token is that of 'hf auth login' or HF_TOKEN. A push that broke off goes on where it stopped when it is
    run again. --json prints {repo, kind, public, files: {name: bytes}, left_out, address: null if not sent}.
    """
    from sst_mergekit.sharing.guards import paths_of_this_machine
    from sst_mergekit.sharing.kinds import STATISTICS, kind_of
    from sst_mergekit.sharing.payload import payload

    if repo.count("/") != 1 or repo.startswith("/") or repo.endswith("/"):
        raise SharingError(f"{repo}: expected USER/REPO")
    kind = kind_of(out, asked)
    found = payload(out, kind)
    contents: dict[str, Path | bytes] = dict(found.files)
    sizes = found.sizes
    if kind == STATISTICS:
        from sst_mergekit.sharing.statistics_card import statistics_card

        card = statistics_card(out, repo).encode()
        contents["README.md"], sizes["README.md"] = card, len(card)
    else:
        _warn_of_card(out)
    for line in paths_of_this_machine(found.files):
        output.warn(f"{line} is a path of this machine; whoever sees the repository sees it")
    value = {"repo": repo, "kind": kind, "public": public, "files": sizes, "left_out": found.left_out}
    if dry_run:
        output.result(value | {"address": None}, _listed(repo, kind, sizes, found.left_out, public))
        return
    from sst_mergekit.sharing.pushing import Target, push

    target = Target(repo, revision, public)
    address = push(contents, kind, target, message or f"Push {kind} {out.resolve().name} with sst-mergekit")
    text = f"{address}: {len(sizes)} files, {sum(sizes.values()):,} bytes"
    output.result(value | {"address": address}, text)


def _warn_of_card(out: Path) -> None:
    from sst_mergekit.sharing.block import has_part

    if not has_part(out / "README.md"):
        output.warn(f"{out}: its card is not complete; run 'sst-mergekit card {out}' first")


def _listed(repo: str, kind: str, sizes: dict[str, int], left_out: tuple[str, ...], public: bool) -> str:
    lines = [f"{size:>15,}  {name}" for name, size in sorted(sizes.items())]
    total, seen = f"{sum(sizes.values()):>15,}", "public" if public else "private"
    lines.append(f"{total}  bytes in {len(sizes)} files: {kind} to {repo}, {seen}; nothing was sent")
    if left_out:
        lines.append(f"not sent: {', '.join(left_out)}")
    return "\n".join(lines)
