"""Sizes in bytes as people write and read them; no torch, so that the command is quick."""

from __future__ import annotations

import re

from sst_mergekit.errors import SstError

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def size_of(text: str) -> int:
    """Return the number of bytes of ``8GB``, ``512 MB``, ``2e9``; units are powers of 1000.

    >>> size_of("1.5GB")
    1500000000

    Raises:
        SstError: it is no size above 0.
    """
    found = re.fullmatch(r"\s*([0-9.]+(?:[eE][0-9]+)?)\s*([KMGT]?)i?B?\s*", text, re.IGNORECASE)
    try:
        size = int(float(found[1]) * UNITS[found[2].upper()]) if found else 0
    except ValueError:
        size = 0
    if size <= 0:
        raise SstError(f"--max-memory {text}: expected a size such as 8GB or 512MB")
    return size


def shown(size: int) -> str:
    """Return a size as people read it.

    >>> shown(1_500_000_000)
    '1.5 GB'
    """
    unit = next(unit for unit in ("T", "G", "M", "K", "") if size >= UNITS[unit] or not unit)
    return f"{size / UNITS[unit]:.3g} {unit}B"
