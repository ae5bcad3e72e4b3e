"""A commented recipe from the names of its models and statistics: the text of ``sst-mergekit init``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sst_mergekit.core.settings import DEFAULTS, GEOMETRY, STRENGTH
from sst_mergekit.errors import RecipeError, StatisticsError
from sst_mergekit.files import expanded
from sst_mergekit.statistics.manifest import FILE_NAME, read_manifest

SST = "sst"
# merge_method -> what it does, and the share of entries that its experts keep, if it thins them
METHODS = {
    SST: ("the safety patch, filtered by Fisher statistics, added to the utility expert", None),
    "task_arithmetic": ("base + all task vectors", None),
    "linear": ("the weighted mean of the experts", None),
    "ties": ("task vectors trimmed to their largest entries, signs elected, averaged", 0.7),
    "dare_ties": ("task vectors thinned at random and rescaled, signs elected", 0.7),
}
_SHARED = {
    "task_arithmetic": ("normalize: false", "lambda: 1.0"),
    "linear": ("normalize: true",),
    "ties": ("normalize: true", "lambda: 1.0"),
    "dare_ties": ("rescale: true", "lambda: 1.0"),
}
WITHOUT_STATISTICS = "data_free"  # the filter


@dataclass(frozen=True)
class Draft:
    """What a recipe is to hold; None stands for the method's default.

    Attributes:
        base: the base model of all experts.
        utility, safety: experts: a model, ``base+adapter``, or the folder of an adapter on the base.
        fisher_utility, fisher_safety: their statistics, in the same order.
        strength: of the safety patch.
        filter, cost: of method ``sst``.
        density: share of directions (filter ``hard``), or of entries that TIES and DARE keep.
    """

    base: str
    utility: tuple[str, ...]
    safety: tuple[str, ...]
    fisher_utility: tuple[str, ...] = ()
    fisher_safety: tuple[str, ...] = ()
    method: str = SST
    filter: str | None = None
    strength: float = STRENGTH
    cost: float | None = None
    density: float | None = None
    out_dtype: str = "bfloat16"


def to_text(draft: Draft, command: str, path: str) -> str:
    """Return the recipe as commented YAML.

    Args:
        draft: what it holds.
        command: how it was made, for its first lines.
        path: where it will be, for the commands in them.

    Raises:
        RecipeError: an expert without statistics, or a setting that the method does not have.
        StatisticsError: statistics that are here cannot be read.
    """
    base = _local(draft.base)
    draft = replace(draft, base=base, utility=_named(draft.utility, base), safety=_named(draft.safety, base))
    _require_consistent(draft)
    lines = [
        *_head(draft, command, shlex.quote(path)),
        f"merge_method: {draft.method}",
        f"base_model: {_scalar(draft.base)}",
        "models:",
        *_experts(draft),
        "parameters:",
        *(f"  {line}" for line in (_sst(draft) if draft.method == SST else _SHARED[draft.method])),
        "dtype: float32  # differences of weights are small: 16 bits lose them",
        f"out_dtype: {draft.out_dtype}",
        "# No tokenizer key: base_model's tokenizer is copied and the embeddings keep their rows.",
    ]
    return "\n".join(lines) + "\n"


def _named(experts: Sequence[str], base: str) -> tuple[str, ...]:
    """Return the experts as recipes name them: the folder of an adapter becomes ``base+folder``."""
    return tuple(
        f"{base}+{_local(name)}" if (Path(name) / "adapter_config.json").is_file() else _local(name)
        for name in experts
    )


def _local(name: str) -> str:
    """Return a name, with ``./`` before a folder's, which mergekit would else look for on the Hub.

    Raises:
        RecipeError: a folder whose name mergekit would take apart.
    """
    if Path(name).is_dir() and set(name) & set("+@"):
        raise RecipeError(
            f"{name}: mergekit reads '+' as an adapter and '@' as a revision; rename the folder"
        )
    return f"./{name}" if Path(name).is_dir() and not name.startswith((".", "/", "~")) else name


def _require_consistent(draft: Draft) -> None:
    of_sst = {"--filter": draft.filter, "--cost": draft.cost}
    given = [flag for flag, value in of_sst.items() if value is not None]
    if draft.method != SST and (given or draft.fisher_utility or draft.fisher_safety):
        flag = given[0] if given else "--fisher-utility, --fisher-safety"
        raise RecipeError(f"{flag}: only for --method sst, got --method {draft.method}; drop it")
    thins = METHODS[draft.method][1] is not None or draft.filter == "hard"
    if draft.density is not None and not thins:
        raise RecipeError("--density: only for --method ties, dare_ties, or --filter hard; drop it")
    if draft.method != SST or draft.filter == WITHOUT_STATISTICS:
        return
    for role, experts, fisher in (
        ("utility", draft.utility, draft.fisher_utility),
        ("safety", draft.safety, draft.fisher_safety),
    ):
        if len(experts) != len(fisher):
            raise RecipeError(
                f"--fisher-{role}: got {len(fisher)} for {len(experts)} --{role}; give the statistics of "
                "each, made by 'sst-mergekit fisher', in the same order"
            )


def _head(draft: Draft, command: str, path: str) -> list[str]:
    lines = [f"# {draft.method}: {METHODS[draft.method][0]}.", "#", f"# Written by: {command}"]
    lines += [f"# Check it:   sst-mergekit check {path}", f"# Merge it:   sst-mergekit yaml {path} ./merged"]
    if _all_adapters(draft) and draft.method in (SST, "task_arithmetic", "linear"):
        lines.append(f"# Or, into an adapter: sst-mergekit lora {path} ./merged-lora")
    return [*lines, ""]


def _all_adapters(draft: Draft) -> bool:
    return all("+" in name for name in (*draft.utility, *draft.safety))


def _experts(draft: Draft) -> list[str]:
    lines = []
    for role, experts, fisher in (
        ("utility", draft.utility, draft.fisher_utility),
        ("safety", draft.safety, draft.fisher_safety),
    ):
        for number, name in enumerate(experts):
            lines += [f"  - model: {_scalar(name)}", "    parameters:"]
            if draft.method == SST:
                lines.append(f"      role: {role}")
                measured = "benign" if role == "utility" else "harm"
                lines += [
                    f"      fisher: {_scalar(source)}  # {measured}, measured at this expert"
                    for source in fisher[number : number + 1]
                ]
            else:
                lines += _weight(draft, role)
    if draft.method == "linear":
        lines += [f"  - model: {_scalar(draft.base)}", "    parameters:"]
        lines.append("      weight: 0.0  # here for its configuration and tokenizer, not its weights")
    return lines


def _weight(draft: Draft, role: str) -> list[str]:
    safety = f"      weight: {draft.strength}  # the strength of the safety patch: sweep it on held-out data"
    lines = [safety if role == "safety" else "      weight: 1.0"]
    kept = METHODS[draft.method][1]
    if kept is not None:
        density = kept if draft.density is None else draft.density
        lines.append(f"      density: {density}  # the share of entries kept")
    return lines


def _sst(draft: Draft) -> list[str]:
    chosen = draft.filter or DEFAULTS.filter
    lines = [
        f"strength: {draft.strength}  # alpha >= 0, how much of the filtered patch is added: sweep it",
        f"filter: {chosen}  # or separable, soft, hard, data_free",
        f"cost: {DEFAULTS.cost if draft.cost is None else draft.cost}  # price of benign damage; 0 keeps all",
    ]
    if chosen == "hard":
        density = DEFAULTS.density if draft.density is None else draft.density
        lines.append(f"density: {density}  # the share of directions kept")
    if chosen != WITHOUT_STATISTICS:
        lines.append(f"geometry: {_geometry(draft)}  # as the statistics were measured (fisher --kind)")
        lines.append(f"damping: {DEFAULTS.damping}  # added to both sides after scaling to mean eigenvalue 1")
    if not _all_adapters(draft):
        lines.append("on_missing: keep  # norms and biases have no statistics: the utility expert's stay")
    return lines


def _geometry(draft: Draft) -> str:
    """Return the geometry that fits the statistics: their kind, where they are here to be read.

    Raises:
        StatisticsError: they are of different kinds.
    """
    sources = (*draft.fisher_utility, *draft.fisher_safety)
    here = [expanded(source) for source in sources]
    kinds = {str(path): read_manifest(path).kind for path in here if (path / FILE_NAME).is_file()}
    if len(set(kinds.values())) > 1:
        said = ", ".join(f"{path} ({kind})" for path, kind in kinds.items())
        raise StatisticsError(f"--fisher-utility, --fisher-safety: of different kinds: {said}; measure alike")
    return next(iter(kinds.values()), GEOMETRY)


def _scalar(text: str) -> str:
    """Return a text as a YAML scalar, quoted where it needs to be.

    >>> _scalar("./experts/a"), _scalar("a: b")
    ('./experts/a', "'a: b'")
    """
    import yaml

    return yaml.safe_dump(text, width=10_000, allow_unicode=True).splitlines()[0]
