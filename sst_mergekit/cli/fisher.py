"""``sst-mergekit fisher``: measure statistics of a model on a data set."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sst_mergekit.cli import output
from sst_mergekit.cli.numbers import Finite
from sst_mergekit.errors import SstError
from sst_mergekit.statistics.kinds import KIND_NAMES
from sst_mergekit.statistics.manifest import Manifest
from sst_mergekit.statistics.rows import Source
from sst_mergekit.statistics.settings import (
    DTYPES,
    FACTORS,
    LABELS,
    STORED,
    Form,
    ModelSpec,
    Options,
)
from sst_mergekit.statistics.sizes import size_of
from sst_mergekit.statistics.team import joined

if TYPE_CHECKING:
    from sst_mergekit.statistics.axes import AxesSource

T = TypeVar("T")
positive = click.IntRange(min=1)
FORMS = "kronecker: marginals of sequences' or tokens' gradients, or K-FAC's factors."
DATA = "A .jsonl, .json, .csv or .parquet file, or a Hub data set id; once or more often.  [required]"
WEIGHT = "Share of each --data among --samples; too few rows are taken again.  [default: rows count alike]"
RESPOND = "Let the model answer prompts that have no response, in at most so many tokens."
EXPERTS = "An expert that fewer tokens reach takes the mean of its layer's experts."
TFLOPS = "--plan: 10^12 operations a second, of the model's dtype and of float32.  [default: measured]"


@click.command("fisher", cls=output.Command)
@click.option("--model", required=True, help="Hub id (id@revision) or path of a causal language model.")
@click.option("--adapter", help="Hub id or path of a LoRA adapter on it; its base layers are measured.")
@click.option("--data", multiple=True, help=DATA)
@click.option("--weight", type=Finite(min=0, min_open=True), multiple=True, help=WEIGHT)
@click.option("--respond", type=positive, metavar="TOKENS", help=RESPOND)
@click.option("--kind", type=click.Choice(KIND_NAMES), default=Options.kind, show_default=True)
@click.option("--factors", type=click.Choice(FACTORS), default=Form.factors, show_default=True, help=FORMS)
@click.option("--patch", nargs=2, help="subspace: base and safety expert (perhaps base+adapter).")
@click.option("--patch-rank", type=positive, default=16, show_default=True, help="subspace: most directions.")
@click.option("--out", type=click.Path(path_type=Path), help="Directory to write.  [required]")
@click.option("--split", default=Source.split, show_default=True, help="Split of a Hub data set.")
@click.option("--config", default=None, help="Configuration of a Hub data set.")
@click.option("--prompt-field", default=Source.prompt_field, show_default=True)
@click.option("--response-field", default=Source.response_field, show_default=True)
@click.option("--messages-field", default=Source.messages_field, show_default=True, help="Chat messages.")
@click.option("--samples", type=positive, default=512, show_default=True, help="Conversations to use.")
@click.option("--max-length", type=positive, default=1024, show_default=True, help="Tokens of a sequence.")
@click.option("--batch-size", type=positive, default=Options.batch_size, show_default=True)
@click.option("--dtype", type=click.Choice(DTYPES), default=ModelSpec.dtype, show_default=True)
@click.option("--device", default=None, help="cpu, cuda, cuda:1, ...  [default: cuda if there is one]")
@click.option("--factor-rank", type=positive, help="Keep this many eigenpairs of a factor, and the trace.")
@click.option("--store-dtype", type=click.Choice(STORED), default=STORED[0], show_default=True)
@click.option("--max-memory", help="Bound on memory, such as 8GB: layers in groups, a pass for each.")
@click.option(
    "--expert-tokens", type=positive, default=Options.expert_tokens, show_default=True, help=EXPERTS
)
@click.option("--labels", type=click.Choice(LABELS), default=Options.labels, show_default=True)
@click.option("--seed", type=int, default=Options.seed, show_default=True)
@click.option("--chat-template/--no-chat-template", default=None, help="[default: if the tokenizer has one]")
@click.option("--trust-remote-code", is_flag=True, help="Run code from the model's repository (danger).")
@click.option("--plan", "only_plan", is_flag=True, help="Say what it would take, without weights; no --out.")
@click.option("--tflops", nargs=2, type=Finite(min=0, min_open=True), help=TFLOPS)
@click.option("--force", is_flag=True, help="Replace --out if it exists.")
def command(
    model: str,
    adapter: str | None,
    data: tuple[str, ...],
    weight: tuple[float, ...],
    respond: int | None,
    kind: str,
    factors: str,
    patch: tuple[str, str] | None,
    patch_rank: int,
    out: Path | None,
    split: str,
    config: str | None,
    prompt_field: str,
    response_field: str,
    messages_field: str,
    samples: int,
    max_length: int,
    batch_size: int,
    dtype: str,
    device: str | None,
    factor_rank: int | None,
    store_dtype: str,
    max_memory: str | None,
    expert_tokens: int,
    labels: str,
    seed: int,
    chat_template: bool | None,
    trust_remote_code: bool,
    only_plan: bool,
    tflops: tuple[float, float] | None,
    force: bool,
) -> None:
    """Measure Fisher statistics of a model's linear layers on prompts and responses.

    Measure harm on the safety expert with its own training mix, and benign skill on the utility
    expert; name both directories in the recipe. Several processes or GPUs share the samples:
    accelerate launch --multi_gpu --num_processes 4 -m sst_mergekit fisher ... --json prints {out, kind,
    layers, sequences, tokens, batch_size, passes, max_memory, skipped: {layer: why}, pooled: {expert: why}}.

    --plan prints layers, passes, memory, disk, work and computed time. It reads the config and counts the
    tokens of --data; without --data it takes --samples sequences of --max-length tokens, half of each
    response. With --json: {kind, layers, extent, batch_size, steps, passes, layers_a_pass, max_memory,
    weights, peak_memory, disk, model_flop, sums_flop, speed, step_seconds, seconds, skipped}, in bytes, FLOP
    and seconds.
    """
    from sst_mergekit.statistics.loading import default_device

    device = device or default_device()
    form = Form(factors, factor_rank=factor_rank)
    bound = size_of(max_memory) if max_memory else None
    spec = ModelSpec(model, adapter, dtype, device, trust_remote_code)
    if weight and len(weight) != len(data):
        raise SstError(f"--weight: {len(weight)} for {len(data)} --data; give each one or none")
    fields = split, config, prompt_field, response_field, messages_field
    sources = [
        Source(each, *fields, share) for each, share in zip(data, weight or [None] * len(data), strict=True)
    ]
    options = Options(kind, form, labels, batch_size, seed, device, max_memory=bound)
    options = dataclasses.replace(options, expert_tokens=expert_tokens)
    shared = {"samples": samples, "max_length": max_length, "chat_template": chat_template}
    shared |= {"store_dtype": store_dtype}
    if only_plan:
        if respond:
            raise SstError("--plan cannot know how long answers are; leave --respond out, or --data too")
        _plan(spec, sources or None, options, tflops, patch_rank=patch_rank, **shared)
    else:
        axes = _axes(patch, patch_rank)
        given = _given(sources or None, "data"), _given(out, "out")
        _measure(spec, *given, options, axes=axes, force=force, respond=respond, **shared)


def _given(value: T | None, name: str) -> T:
    if value is None:
        hint = f"'--{name}'"
        raise click.MissingParameter(ctx=click.get_current_context(), param_hint=hint, param_type="option")
    return value


def _plan(
    spec: ModelSpec,
    sources: list[Source] | None,
    options: Options,
    tflops: tuple[float, float] | None,
    **more: Any,
) -> None:
    from sst_mergekit.statistics.planning import plan
    from sst_mergekit.statistics.speed import Speed

    speed = Speed(1e12 * tflops[0], 1e12 * tflops[1]) if tflops else None
    found = plan(spec, sources, options, speed=speed, **more)
    output.result(found.facts(), found.text())


def _measure(spec: ModelSpec, sources: list[Source], out: Path, options: Options, **more: Any) -> None:
    from sst_mergekit.statistics.estimate import estimate

    with joined(spec.device) as team:
        progress = team.first and output.progress()
        options = dataclasses.replace(options, team=team, progress=progress)
        manifest = estimate(spec, sources, out, options, **more)
    if team.first:
        _say(out, options.kind, manifest)


def _say(out: Path, kind: str, manifest: Manifest) -> None:
    for name, why in manifest.skipped.items():
        output.note(f"  left out: {name} ({why})")
    if manifest.pooled:
        name, why = next(iter(manifest.pooled.items()))
        output.note(f"  {len(manifest.pooled)} slices of experts have a mean: {name} ({why}), ...")
    found = {"out": out, "kind": kind, "layers": len(manifest.layers)}
    found |= {name: manifest.data[name] for name in ("sequences", "tokens")} | manifest.run
    output.result(
        found | {"skipped": manifest.skipped, "pooled": manifest.pooled},
        f"{out}: {kind} statistics of {found['layers']} layers "
        f"from {found['sequences']} sequences, {found['tokens']} response tokens, "
        f"in {found['passes']} passes with batches of {found['batch_size']}",
    )


def _axes(patch: tuple[str, str] | None, rank: int) -> AxesSource | None:
    """Return where coordinates come from, if a patch is given."""
    from sst_mergekit.adapters.deltas import deltas
    from sst_mergekit.statistics.axes import AxesSource, patch_axes

    if not patch:
        return None
    return AxesSource(lambda: patch_axes(deltas(*patch), rank), {"patch": list(patch), "rank": rank})
