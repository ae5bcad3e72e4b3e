"""The methods' names: as the experiments write them, short and long, our own, and those for people."""

from __future__ import annotations

from collections.abc import Sequence

from sst_mergekit.errors import SstError, closest
from sst_mergekit.experiments.methods import EVERY
from sst_mergekit.experiments.trials import TRAININGS
from sst_mergekit.experiments.variants import VARIANTS

BASELINE = "task_arithmetic"  # what the others are held against
PUBLISHED = {method.name: method.published for method in EVERY if method.published}  # (short, long)
KNOWN = tuple(method.name for method in EVERY) + tuple(TRAININGS)
CONTROLS = {method.name for method in EVERY if method.control}
LABELS = {method.name: method.label for method in EVERY + VARIANTS} | TRAININGS
UNMERGED = {
    "base": "base model",
    "utility-expert": "utility expert (unmerged)",
    "safety-expert": "safety expert (unmerged)",
}
_ALIASES = {alias.casefold(): name for name, pair in PUBLISHED.items() for alias in pair}


def short(name: str) -> str:
    """Return the short published name of a method, or ours.

    >>> short("task_arithmetic"), short("sst_refit")
    ('TA', 'sst_refit')
    """
    return PUBLISHED.get(name, (name, name))[0]


def long(name: str) -> str:
    """Return the long published name of a method, or ours.

    >>> long("agl")
    'AlignGuard-LoRA'
    """
    return PUBLISHED.get(name, (name, name))[1]


def own(name: str) -> str:
    """Return our name of a method that is given by any of its names; another name as it is.

    >>> own("TIES-Merging"), own("sst_refit")
    ('ties', 'sst_refit')
    """
    return _ALIASES.get(name.casefold(), name)


def label(name: str) -> str:
    """Return the name for people of a method or an unmerged model, given by any of its names.

    >>> label("TA"), label("sst_refit"), label("base")
    ('Task Arithmetic', 'SST-Merge, refitted', 'base model')
    """
    return LABELS.get(own(name)) or UNMERGED.get(name, name)


def methods(names: Sequence[str], where: str) -> tuple[str, ...]:
    """Return our names of methods that are given by any name; ``all`` is every one.

    >>> methods(["TA", "TIES-Merging", "sst"], "methods")
    ('task_arithmetic', 'ties', 'sst')

    Raises:
        SstError: a name that is unknown, or a method named twice.
    """
    if list(names) == ["all"]:
        return KNOWN
    found: list[str] = []
    for name in names:
        ours = own(str(name))
        if ours not in KNOWN:
            aliases = [alias for pair in PUBLISHED.values() for alias in pair]
            raise SstError(f"{where}: unknown method {name!r}{closest(str(name), [*KNOWN, *aliases])}")
        if ours in found:
            raise SstError(f"{where}: {name!r} names a method that is there already ({ours})")
        found.append(ours)
    return tuple(found)
