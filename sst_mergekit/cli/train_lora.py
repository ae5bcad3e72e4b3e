"""``sst-mergekit train-lora``: train a LoRA expert on conversations."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from sst_mergekit.cli import output
from sst_mergekit.cli.numbers import Finite
from sst_mergekit.statistics.rows import Source
from sst_mergekit.statistics.settings import DTYPES, ModelSpec
from sst_mergekit.training.lora_options import Options

positive = click.IntRange(min=1)
share = Finite(min=0, max=1, max_open=True)


@click.command("train-lora", cls=output.Command)
@click.option("--model", required=True, help="Hub id (id@revision) or path.")
@click.option("--data", required=True, help="Conversations: a file or a Hub data set id.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Adapter directory to write.")
@click.option("--split", default=Source.split, show_default=True, help="Of a Hub data set.")
@click.option("--prompt-field", default=Source.prompt_field, show_default=True)
@click.option("--response-field", default=Source.response_field, show_default=True)
@click.option("--steps", type=positive, default=Options.steps, show_default=True)
@click.option(
    "--learning-rate", type=Finite(0, min_open=True), default=Options.learning_rate, show_default=True
)
@click.option("--warm-up", type=share, default=Options.warm_up, show_default=True, help="Share of the steps.")
@click.option("--weight-decay", type=Finite(min=0), default=Options.weight_decay, show_default=True)
@click.option("--rank", type=positive, default=Options.rank, show_default=True)
@click.option("--alpha", type=positive, help="The LoRA counts alpha / rank times.  [default: twice the rank]")
@click.option(
    "--dropout", type=share, default=Options.dropout, show_default=True, help="Of the LoRA's inputs."
)
@click.option(
    "--target-modules", default=Options.target_modules, show_default=True, help="Names, with commas."
)
@click.option("--target-parameters", default="", help="Of experts, with commas: experts.down_proj")
@click.option("--batch-size", type=positive, default=Options.batch_size, show_default=True)
@click.option(
    "--accumulate", type=positive, default=Options.accumulate, show_default=True, help="Batches a step."
)
@click.option("--gradient-checkpointing", is_flag=True, help="Less memory, more time.")
@click.option("--samples", type=positive, default=None, help="Conversations, chosen by the seed.")
@click.option("--max-length", type=positive, default=Options.max_length, show_default=True)
@click.option("--validation", help="As --data: the loss on it is measured at the end.")
@click.option("--validation-share", type=Finite(0, 1, True, True), help="Of --data, for the same.")
@click.option(
    "--checkpoints", type=positive, metavar="N", help="Every N steps; the same command goes on there."
)
@click.option("--checkpoint-folder", type=click.Path(path_type=Path), help="[default: OUT's]")
@click.option("--dtype", type=click.Choice(DTYPES), default=ModelSpec.dtype, show_default=True)
@click.option("--device", default=None, help="cpu, cuda, cuda:1, ...  [default: cuda if there is one]")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=Options.seed, show_default=True)
@click.option("--force", is_flag=True, help="Replace --out if it exists.")
def command(
    model: str, data: str, out: Path, dtype: str, device: str | None, force: bool, **given: Any
) -> None:
    """Train a LoRA on linear layers of a model, on the responses of conversations.

    Only responses are learnt. A batch that does not fit into the GPU's memory is taken in halves, with the
    same gradients. The adapter is written as safetensors, with training.json beside it. Checkpoints are in
    OUT.checkpoints, hold PyTorch's pickles, and are removed at the end. --json prints {out, steps, first,
    last, validation} (nats a token).
    """
    from sst_mergekit.statistics.loading import default_device
    from sst_mergekit.training.lora import train_lora

    fields = {name: given.pop(name) for name in ("split", "prompt_field", "response_field")}
    options = Options(**given, progress=output.progress())
    spec = ModelSpec(model, None, dtype, device or default_device())
    done = train_lora(spec, Source(data, **fields), out, options, force)
    held_out = "" if done.validation is None else f", {done.validation:.3f} on held-out conversations"
    output.result(
        {"out": out, "steps": options.steps, **asdict(done)},
        f"{out}: loss {done.first:.3f} -> {done.last:.3f} nats a token in {options.steps} steps{held_out}",
    )
