"""``sst-mergekit train-lora``: train a LoRA expert on conversations."""

from __future__ import annotations

from pathlib import Path

import click

from sst_mergekit.cli import output
from sst_mergekit.cli.numbers import Finite
from sst_mergekit.statistics.rows import Source
from sst_mergekit.statistics.settings import DTYPES, ModelSpec
from sst_mergekit.training.lora_options import Options

positive = click.IntRange(min=1)


@click.command("train-lora", cls=output.Command)
@click.option("--model", required=True, help="Hub id (id@revision) or path.")
@click.option("--data", required=True, help="Conversations: a file or a Hub data set id.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Adapter directory to write.")
@click.option("--split", default=Source.split, show_default=True, help="Of a Hub data set.")
@click.option("--prompt-field", default=Source.prompt_field, show_default=True)
@click.option("--response-field", default=Source.response_field, show_default=True)
@click.option("--steps", type=positive, default=Options.steps, show_default=True)
@click.option(
    "--learning-rate",
    type=Finite(min=0, min_open=True),
    default=Options.learning_rate,
    show_default=True,
)
@click.option("--rank", type=positive, default=Options.rank, show_default=True)
@click.option("--batch-size", type=positive, default=Options.batch_size, show_default=True)
@click.option("--samples", type=positive, default=None, help="Conversations, chosen by the seed.")
@click.option("--max-length", type=positive, default=Options.max_length, show_default=True)
@click.option("--dtype", type=click.Choice(DTYPES), default=ModelSpec.dtype, show_default=True)
@click.option("--device", default=None, help="cpu, cuda, cuda:1, ...  [default: cuda if there is one]")
@click.option("--seed", type=int, default=Options.seed, show_default=True)
@click.option("--force", is_flag=True, help="Replace --out if it exists.")
def command(
    model: str,
    data: str,
    out: Path,
    split: str,
    prompt_field: str,
    response_field: str,
    steps: int,
    learning_rate: float,
    rank: int,
    batch_size: int,
    samples: int | None,
    max_length: int,
    dtype: str,
    device: str | None,
    seed: int,
    force: bool,
) -> None:
    """Train a LoRA on every linear layer of a model, on the responses of conversations.

    Only responses are learnt. A batch that does not fit into the GPU's memory is taken in halves, with the
    same gradients. The adapter is written as safetensors, with training.json beside it. --json prints {out,
    steps, first, last} (nats a token).
    """
    from sst_mergekit.statistics.loading import default_device
    from sst_mergekit.training.lora import train_lora

    source = Source(data, split, prompt_field=prompt_field, response_field=response_field)
    options = Options(steps, learning_rate, rank, batch_size, samples, max_length, seed, output.progress())
    spec = ModelSpec(model, None, dtype, device or default_device())
    done = train_lora(spec, source, out, options, force)
    output.result(
        {"out": out, "steps": steps, "first": done.first, "last": done.last},
        f"{out}: loss {done.first:.3f} -> {done.last:.3f} nats a token in {steps} steps",
    )
