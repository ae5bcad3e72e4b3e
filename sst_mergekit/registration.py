"""Make mergekit know ``merge_method: sst`` and the baselines in this process."""

from __future__ import annotations


def register_method() -> None:
    """Add ``sst`` to mergekit's registry, unless it is there already.

    Raises:
        ValueError: a method of another package has taken the name.
    """
    from sst_mergekit.plugin.method import sst

    _register(sst)


def register_baselines() -> None:
    """Add the baselines that mergekit has not, unless they are there already.

    Raises:
        ValueError: a method of another package has taken a name; the others are registered all the same.
    """
    from sst_mergekit.baselines import merge_methods

    taken = []
    for method in merge_methods():
        try:
            _register(method)
        except ValueError as error:
            taken.append(str(error))
    if taken:
        raise ValueError("; ".join(taken))


def _register(method: object) -> None:
    from mergekit.merge_methods import registry

    if not any(known is method for known in registry.registered_methods()):
        registry.register(method)  # pyright: ignore[reportArgumentType] (the decorator's type is too wide)
