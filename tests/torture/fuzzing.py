"""Coverage-guided fuzzing of one reader: ``python fuzzing.py recipe|manifest|rows [libFuzzer's options]``."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["sst_mergekit", "yaml", "json"]):
    import readers


def main() -> None:
    """Feed the reader until time is up; an exception that is no SstError ends it."""
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, lambda content: readers.read(name, content) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
