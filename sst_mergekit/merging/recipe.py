"""Running a recipe through mergekit in this process, as ``mergekit-yaml`` would."""

from __future__ import annotations

import logging
import shutil
import tempfile
import warnings
import zlib
from pathlib import Path
from typing import Any

import yaml

import sst_mergekit
from sst_mergekit.errors import raising_a_full_disk
from sst_mergekit.files import new_directory, write_text
from sst_mergekit.plugin import coverage


def write_recipe(path: Path, recipe: dict[str, Any]) -> None:
    """Write a recipe that stock ``mergekit-yaml`` accepts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, yaml.safe_dump(recipe, sort_keys=False))


def run_recipe(path: Path, out: Path, lora_cache: Path, seed: int) -> None:
    """Merge the recipe at ``path`` into ``out`` (replaced if it exists)."""
    quiet_libraries()
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    sst_mergekit.register()
    source = path.read_text(encoding="utf-8")
    options = MergeOptions(
        lora_merge_cache=str(lora_cache), lora_merge_dtype="float32", random_seed=seed, quiet=True
    )
    with new_directory(out, force=True) as temporary:
        config = MergeConfiguration.model_validate(yaml.safe_load(source))
        with raising_a_full_disk("mergekit.merge"), coverage.recorded() as found:
            run_merge(config, str(temporary), options=options, config_source=source)
        if (config.parameters or {}).get("strength") != 0:  # a search may begin at the utility expert
            found.require_change()


def fold_adapter(reference: str, lora_cache: Path) -> None:
    """Fold ``base+adapter`` into mergekit's cache, once and whole, before several processes want it."""
    mark = lora_cache / f"{zlib.crc32(reference.encode()):08x}.folded"
    if mark.is_file():
        return
    quiet_libraries()
    from mergekit.common import ModelReference

    lora_cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=lora_cache, prefix=".partial-") as temporary:
        ModelReference.parse(reference).merged(cache_dir=temporary, lora_merge_dtype="float32")
        for folded in Path(temporary).iterdir():
            shutil.rmtree(lora_cache / folded.name, ignore_errors=True)
            folded.rename(lora_cache / folded.name)
    mark.touch()


def quiet_libraries() -> None:
    """Silence progress bars and notices of the hosts, which would bury our own."""
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for name in ("mergekit", "lm_eval", "lm-eval"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger().setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)
