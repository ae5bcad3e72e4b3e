"""From a model and data to a directory of statistics: the whole of ``sst-mergekit fisher``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from sst_mergekit.errors import SstError
from sst_mergekit.files import new_directory, refuse_existing
from sst_mergekit.statistics.axes import AxesSource
from sst_mergekit.statistics.collect import Collected, Options, collect
from sst_mergekit.statistics.fingerprint import identity
from sst_mergekit.statistics.kinds import KINDS
from sst_mergekit.statistics.kinds.kind import Form
from sst_mergekit.statistics.loading import ModelSpec, load_model, require_device, split_revision
from sst_mergekit.statistics.manifest import Manifest
from sst_mergekit.statistics.memory import shard
from sst_mergekit.statistics.responding import respond as respond_to
from sst_mergekit.statistics.rows import Conversation, Source, content_hash, prompt_hashes
from sst_mergekit.statistics.sequences import Answer, Read, read_sequences
from sst_mergekit.statistics.writer import Nowhere, StatisticsWriter


def estimate(
    spec: ModelSpec,
    source: Source | Sequence[Source],
    out: Path,
    options: Options | None = None,
    samples: int | None = None,
    max_length: int = 1024,
    chat_template: bool | None = None,
    axes: AxesSource | None = None,
    force: bool = False,
    store_dtype: str = "float32",
    respond: int | None = None,
) -> Manifest:
    """Measure statistics, write them to ``out`` and return their manifest.

    Of several processes (``options.team``) the first writes.

    Args:
        spec: the model, and perhaps an adapter on it.
        source: prompts and responses, in one place or several.
        out: a directory that does not exist yet, unless ``force``.
        options: kind, labels, batch size, seed, device; None for the defaults.
        samples: how many conversations, chosen by the seed; None for all.
        max_length: tokens of one sequence; longer ones are cut.
        chat_template: use the tokenizer's template; None: where it has one.
        axes: where kind ``subspace`` takes its coordinates from.
        force: replace ``out``.
        store_dtype: of what is written; sums are float32.
        respond: the model answers prompts that have no response, in so many tokens at most.

    Raises:
        DataError: the data cannot be read.
        StatisticsError: the model cannot be loaded or measured.
        SstError: ``out`` exists.
    """
    options = options or Options()
    with _place(out, force, options.team.first) as temporary:
        options = _with_axes(options, axes)
        require_device(spec.device)
        sources = [source] if isinstance(source, Source) else list(source)
        model = load_model(spec) if respond else None
        answer = _answering(model, options, respond) if respond else None
        read = read_sequences(spec, sources, samples, options.seed, max_length, chat_template, answer)
        dtype, most = getattr(torch, store_dtype), shard(options.max_memory)
        writer = StatisticsWriter(temporary, dtype, most) if temporary else None
        collected = collect(model or load_model(spec), read.sequences, options, writer or Nowhere())
        about = _about(spec, sources, read, options, collected, max_length)
        about["data"]["respond"] = respond
        about["form"] = _form(options.form, axes if KINDS[options.kind].axes_by else None, store_dtype)
        manifest = writer.finish(collected, about) if writer else None
    return options.team.told(manifest)


def _answering(model: Any, options: Options, tokens: int) -> Answer:
    """Return what lets the model answer prompts; of several processes the first does it for all."""

    def answer(tokenizer: Any, conversations: list[Conversation], templated: bool) -> list[Conversation]:
        first, size = options.team.first, options.batch_size
        if not first:
            return options.team.told(None)
        done = respond_to(model, tokenizer, conversations, templated, tokens, size, options.progress)
        return options.team.told(done)

    return answer


def _place(out: Path, force: bool, writes: bool) -> AbstractContextManager[Path | None]:
    """Return where this process writes, or nowhere."""
    if writes:
        return new_directory(out, force)
    refuse_existing(out, force)
    return nullcontext()


def _with_axes(options: Options, axes: AxesSource | None) -> Options:
    """Return the options with the coordinates that their kind needs, and nothing that it has no use for.

    Raises:
        SstError: the form does not go with the kind.
    """
    require_form(options)
    needed = KINDS[options.kind].axes_by
    if not needed:
        return options
    if axes is None:
        raise SstError(f"--kind {options.kind}: measured in coordinates; give {needed}")
    return dataclasses.replace(options, form=dataclasses.replace(options.form, axes=axes.read()))


def require_form(options: Options) -> None:
    """Raise SstError where the form does not go with the kind."""
    form = options.form
    for flag, able in ((form.factors != Form.factors, "has_forms"), (form.factor_rank, "truncates")):
        if flag and not getattr(KINDS[options.kind], able):
            kinds = " or ".join(name for name, kind in KINDS.items() if getattr(kind, able))
            raise SstError(
                f"--kind {options.kind}: this form is of kind {kinds} alone; choose that or drop the flag"
            )


def _form(form: Form, axes: AxesSource | None, store_dtype: str) -> dict[str, Any]:
    """Return the manifest entry: which form was measured, and in which coordinates."""
    flags = {name: getattr(form, name) for name in ("factors", "factor_rank")}
    return flags | {"store_dtype": store_dtype} | ({"axes": dict(axes.about)} if axes else {})


def _about(
    spec: ModelSpec,
    sources: Sequence[Source],
    read: Read,
    options: Options,
    collected: Collected,
    max_length: int,
) -> dict[str, Any]:
    return {
        "kind": KINDS[options.kind].name,
        "model": identity(*split_revision(spec.model)),
        "adapter": identity(*split_revision(spec.adapter)) if spec.adapter else None,
        "data": {
            **asdict(sources[0]),
            "location": " + ".join(each.location for each in sources),
            "weight": [each.weight for each in sources],
            "sha256": content_hash(read.conversations),
            "prompts": prompt_hashes(read.conversations),
            "max_length": max_length,
            "chat_template": read.templated,
            **asdict(collected.counts),
        },
        "labels": options.labels,
        "seed": options.seed,
        "dtype": spec.dtype,
        "run": {
            "batch_size": collected.batch_size,
            "passes": collected.passes,
            "max_memory": options.max_memory,
        },
        "versions": {name: version(name) for name in ("sst-mergekit", "torch", "transformers", "peft")},
    }
