"""The testbeds of a Hub model in the sizes that a configuration asks for."""

from __future__ import annotations

import functools
from pathlib import Path

from sst_mergekit.testbeds.hub.prepare import required
from sst_mergekit.testbeds.hub.testbed import RATE, HubTestbed, Origin
from sst_mergekit.testbeds.options import ModelOptions
from sst_mergekit.testbeds.real.loading import Loading, loading_of
from sst_mergekit.testbeds.real.making import weights_of
from sst_mergekit.testbeds.real.units import RANK
from sst_mergekit.testbeds.tiny.facts import TaskSize

BEAVERTAILS = {"minimal": "30k", "full": "330k"}
TASK_SIZE = TaskSize(rows=400, steps=60, prompts=40, rate=RATE, rank=RANK)


def worlds(
    model: ModelOptions, cache_dir: str, mode: str, seeds: range, read: bool = True
) -> list[HubTestbed]:
    """Return one testbed a seed; a model on the Hub is downloaded.

    Args:
        model: which, and how it is loaded.
        cache_dir: folder of downloaded data.
        mode: ``minimal`` or ``full``.
        seeds: of the testbeds.
        read: False for a plan: neither model nor data need be there, and the units have no true keys.

    Raises:
        SstError: the model or the data are not there, or an option cannot be honoured.
    """
    hashes = required(Path(cache_dir), BEAVERTAILS[mode]) if read else {}
    origin = Origin(
        model.full_name,
        _weights(model.full_name) if read else "",
        cache_dir,
        hashes,
        model.sizes[mode],
        BEAVERTAILS[mode],
        loading_of(model) if read else Loading(model.torch_dtype, model.device_map),
    )
    return [HubTestbed(seed, origin) for seed in seeds]


_weights = functools.lru_cache(maxsize=32)(weights_of)
