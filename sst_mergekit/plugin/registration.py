"""Make mergekit know ``merge_method: sst`` in this process."""

from __future__ import annotations


def register_method() -> None:
    """Add our method to mergekit's registry, unless it is there already.

    Raises:
        ValueError: a method of another package has taken the name.
    """
    from mergekit.merge_methods import registry

    from sst_mergekit.plugin.method import sst

    if not any(method is sst for method in registry.registered_methods()):
        registry.register(sst)  # pyright: ignore[reportArgumentType] (the decorator's type is too wide)
