"""A checkpoint as lm-eval asks it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sst_mergekit.testbeds.real.loading import Loading


def language_model(model: Path, adapter: Path | None, loading: Loading, **more: Any) -> Any:
    """Return lm-eval's model of a checkpoint with an adapter, if any; `more` is of its ``HFLM``."""
    from lm_eval.models.huggingface import HFLM

    from sst_mergekit.merging.recipe import quiet_libraries

    quiet_libraries()
    place = {"parallelize": True} if loading.spreads else {"device": loading.device}
    more |= {"attn_implementation": loading.attention} if loading.attention else {}
    make: Any = HFLM  # lm-eval's registry hides its parameters
    peft = str(adapter) if adapter else None
    return make(pretrained=str(model), peft=peft, dtype=loading.dtype, **place, **more)
