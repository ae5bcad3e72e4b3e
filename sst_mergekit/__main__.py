"""``python -m sst_mergekit`` is the same as ``sst-mergekit``."""

from sst_mergekit.cli import main

if __name__ == "__main__":
    main()
