"""A command of sst-mergekit as a process of its own, charged without the imports.

python command.py fisher --model ... --out ...
"""

from __future__ import annotations

import importlib
import sys

from usage import measured

if __name__ == "__main__":
    command = importlib.import_module(f"sst_mergekit.cli.{sys.argv[1].replace('-', '_')}").command
    for module in ("datasets", "peft", "transformers.models.llama.modeling_llama"):
        importlib.import_module(module)
    with measured():
        command.main(sys.argv[2:], standalone_mode=False)
