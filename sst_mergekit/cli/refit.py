"""``sst-mergekit refit``: fit the safety patch to the utility expert on calibration data."""

from __future__ import annotations

from pathlib import Path

import click

from sst_mergekit.cli import output
from sst_mergekit.cli.numbers import Finite
from sst_mergekit.core.settings import DEFAULTS
from sst_mergekit.statistics.rows import Source
from sst_mergekit.statistics.settings import DTYPES, ModelSpec
from sst_mergekit.training.refit_settings import PARTS, Data, Options, Start

positive = click.IntRange(min=1)
share = Finite(min=0, max=1, min_open=True, max_open=True)


@click.command("refit", cls=output.Command)
@click.option("--model", required=True, help="Hub id (id@revision) or path of the utility expert.")
@click.option("--adapter", help="Hub id or path of its LoRA adapter, if it is one.")
@click.option("--patch", nargs=2, required=True, help="Base and safety expert (perhaps base+adapter).")
@click.option("--harm", required=True, help="Harmful requests with refusals: a file or a Hub data set id.")
@click.option("--benign", required=True, help="Benign prompts, look-alikes of harm among them.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Adapter directory to write.")
@click.option(
    "--fisher", nargs=2, help="Harm and benign kronecker statistics: start from the filtered patch."
)
@click.option("--cost", type=Finite(), default=DEFAULTS.cost, show_default=True, help="Of that filter.")
@click.option(
    "--strength", type=Finite(), default=Start.strength, show_default=True, help="Of the patch at first."
)
@click.option("--rank", type=positive, default=Start.rank, show_default=True, help="Most directions a layer.")
@click.option(
    "--train", type=click.Choice(PARTS), default=PARTS[0], show_default=True, help="What is fitted."
)
@click.option("--steps", type=positive, default=Options.steps, show_default=True)
@click.option(
    "--learning-rate",
    type=Finite(),
    default=Options.learning_rate,
    show_default=True,
    help="As of a LoRA; with '--train core' a share of the patch, say 0.02.",
)
@click.option("--harm-weight", type=share, default=Options.harm_weight, show_default=True)
@click.option(
    "--distill",
    type=Finite(0, 1),
    default=Options.distill,
    show_default=True,
    help="Benign answers: the share taught by the utility expert; the rest by the data.",
)
@click.option("--batch-size", type=positive, default=Options.batch_size, show_default=True)
@click.option("--held-out", type=share, default=Options.held_out, show_default=True, help="Share of rows.")
@click.option("--samples", type=positive, default=512, show_default=True, help="Conversations of either set.")
@click.option("--max-length", type=positive, default=Data.max_length, show_default=True)
@click.option("--dtype", type=click.Choice(DTYPES), default=ModelSpec.dtype, show_default=True)
@click.option("--device", default=None, help="cpu, cuda, cuda:1, ...  [default: cuda if there is one]")
@click.option("--seed", type=int, default=Options.seed, show_default=True)
@click.option("--trust-remote-code", is_flag=True, help="Run code from the model's repository (danger).")
@click.option("--force", is_flag=True, help="Replace --out if it exists.")
def command(
    model: str,
    adapter: str | None,
    patch: tuple[str, str],
    harm: str,
    benign: str,
    out: Path,
    fisher: tuple[str, str] | None,
    cost: float,
    strength: float,
    rank: int,
    train: str,
    steps: int,
    learning_rate: float,
    harm_weight: float,
    distill: float,
    batch_size: int,
    held_out: float,
    samples: int,
    max_length: int,
    dtype: str,
    device: str | None,
    seed: int,
    trust_remote_code: bool,
    force: bool,
) -> None:
    """Fit the safety patch to the utility expert, and write it as a PEFT adapter on that expert.

    Starts from the patch (filtered, with --fisher) and takes a few steps that teach the refusals of --harm
    and the answers to --benign, these by the data and by what the utility expert would say. States are
    averaged over the second half; the average with the lowest loss on held-out rows is kept. Sweep the
    strength of the result as that of any patch: mergekit's task_arithmetic on 'model: UTILITY+OUT' with
    'base_model: UTILITY'. With --adapter the result is an adapter on the same base, to be added to it:
    see merge_configs/refit/. --json prints {out, step, before: {harm, benign}, after}.
    """
    from sst_mergekit.plugin import coverage
    from sst_mergekit.statistics.loading import default_device
    from sst_mergekit.training.refit import refit

    spec = ModelSpec(model, adapter, dtype, device or default_device(), trust_remote_code)
    start = Start(*patch, strength, rank, fisher, cost)
    options = Options(
        steps, learning_rate, harm_weight, distill, batch_size, held_out, seed, output.progress()
    )
    data = Data(Source(harm), Source(benign), samples, max_length)
    with coverage.recorded() as found:
        done = refit(spec, start, data, out, options, train, force)
    output.note(f"patch: {found.summary()}")
    if warning := found.warning():
        output.warn(warning)
    if done.step == 0:
        output.warn("no average was better than the patch as it is; lower --learning-rate")
    output.result(
        {"out": out, "step": done.step, "before": done.before, "after": done.after},
        f"{out}: the average up to step {done.step} of {steps} kept; on held-out rows harm "
        f"{done.before.harm:.3f} -> {done.after.harm:.3f}, benign {done.before.benign:.4f} -> "
        f"{done.after.benign:.4f} nats a token",
    )
