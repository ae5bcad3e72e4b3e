"""Safety Subspace Task-Merge: a mergekit method, Fisher statistics and lm-eval tasks.

Importing this package is cheap (no torch): it is imported when Python starts, by the
hook that makes ``mergekit`` know ``merge_method: sst``.
"""

__version__ = "0.1.0"


def register() -> None:
    """Make mergekit know ``merge_method: sst`` and its rivals here; calling twice is harmless."""
    from sst_mergekit.plugin.registration import register_method, register_rivals

    register_method()
    register_rivals()


__all__ = ["__version__", "register"]
