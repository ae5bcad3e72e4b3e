"""The methods' names as the experiments write them: short ones, long ones, and ours."""

from __future__ import annotations

from collections.abc import Sequence

from sst_mergekit.errors import SstError, closest
from sst_mergekit.experiments.methods import EVERY
from sst_mergekit.experiments.trials import TRAININGS

PUBLISHED = {method.name: method.published for method in EVERY if method.published}  # (short, long)
KNOWN = tuple(method.name for method in EVERY) + tuple(TRAININGS)
CONTROLS = {method.name for method in EVERY if method.control}
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
        ours = _ALIASES.get(str(name).casefold(), name)
        if ours not in KNOWN:
            aliases = [alias for pair in PUBLISHED.values() for alias in pair]
            raise SstError(f"{where}: unknown method {name!r}{closest(str(name), [*KNOWN, *aliases])}")
        if ours in found:
            raise SstError(f"{where}: {name!r} names a method that is there already ({ours})")
        found.append(ours)
    return tuple(found)
