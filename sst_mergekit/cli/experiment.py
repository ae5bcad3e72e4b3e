"""``sst-mergekit experiment``: safety tax, interference of many tasks, comparison with baselines."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sst_mergekit.cli import output

if TYPE_CHECKING:
    from sst_mergekit.experiments.request import Request


@click.command("experiment", cls=output.Command)
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="YAML of data sizes, models and experiments.  [default: the package's own]",
)
@click.option("--mode", type=click.Choice(["minimal", "full"]), default="minimal", show_default=True)
@click.option("--model", default="tiny-world", show_default=True, help="A model of the file, or all.")
@click.option(
    "--experiment",
    type=click.Choice(["exp1", "exp2", "exp3", "all"]),
    default="all",
    show_default=True,
    help="Safety tax, interference of many tasks, comparison with baselines.",
)
@click.option(
    "--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="How many: 42, 43, ..."
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("results"), show_default=True)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=None,
    help="Processes.  [default: CPU cores; 1 for Hub models]",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=None,
    help="Of all data sets, in place of the file's; halved by itself where the GPU's memory is short.",
)
@click.option(
    "--confirm-run-unsafe-code",
    "confirmed",
    is_flag=True,
    help="Let HumanEval run programs that Hub models write, in the sandbox.",
)
@click.option(
    "--examples/--no-examples",
    default=None,
    help="Include prompts and answers in the report.  [default: those of the tiny world alone]",
)
@click.option("--ray", metavar="auto|ADDRESS", help="Make the units on a Ray cluster, one slot each.")
@click.option("--plan", "only_plan", is_flag=True, help="Print what would be done, and do nothing.")
def command(
    config_path: Path | None,
    mode: str,
    model: str,
    experiment: str,
    seeds: int,
    out: Path,
    workers: int | None,
    examples: bool | None,
    batch_size: int | None,
    confirmed: bool,
    ray: str | None,
    only_plan: bool,
) -> None:
    """Train, measure, merge and score as the configuration says; write the results as JSON, and a report.

    On the embedded tiny world this needs no network; it runs the tiny models' own programs in the sandboxed
    executor. What is made under --out is not made again: a run that was stopped is continued by the same
    command, and several runs may share a folder.

    --json prints {results: {file: its content}}. With --plan it prints {plan: [one a model]}, each with
    experiments [{experiment, units: {kind: count}, then}], kinds {kind: {units, made, bytes}}, units [{kind,
    key, name, bytes, made}], disk {what for: bytes} and needs (data, loading, confirmation). Bytes are
    estimates, and null is what a plan cannot know.
    """
    from sst_mergekit.experiments.config import EXPERIMENTS, chosen_models, load
    from sst_mergekit.experiments.plan import plan
    from sst_mergekit.experiments.plan_text import text
    from sst_mergekit.experiments.request import FIRST_SEED, Request
    from sst_mergekit.resources import recipes_path

    options = {"mode": mode, "model": model, "experiment": experiment, "seeds": seeds, "out": out}
    words = [] if config_path is None else ["--config", str(config_path)]
    words += [word for name, value in options.items() for word in (f"--{name}", str(value))]
    words += {None: [], True: ["--examples"], False: ["--no-examples"]}[examples]
    words += [] if batch_size is None else ["--batch-size", str(batch_size)]
    words += ["--confirm-run-unsafe-code"] if confirmed else []
    config = load(config_path or recipes_path() / "experiments" / "experiments.yml")
    models = [found.with_batch_size(batch_size) for found in chosen_models(config, model)]
    tiny = all(found.is_tiny_world for found in models)
    request = Request(
        config=config,
        mode=mode,
        models=models,
        experiments=EXPERIMENTS if experiment == "all" else (experiment,),
        seeds=range(FIRST_SEED, FIRST_SEED + seeds),
        out=out.absolute(),
        workers=workers or (os.cpu_count() if tiny else 1) or 1,
        command=shlex.join(["sst-mergekit", "experiment", *words]),
        examples=examples,
        confirmed=confirmed,
        ray=ray,
    )
    if only_plan:
        plans = plan(request)
        output.result({"plan": plans}, text(plans))
    else:
        _run(request)


def _run(request: Request) -> None:
    from sst_mergekit.errors import SstError
    from sst_mergekit.experiments.run import run
    from sst_mergekit.reporting.write import write

    if request.out.is_file():
        raise SstError(f"{request.out}: is a file; choose another --out")
    made = run(request, output.progress())
    files, text = write(request.out, request.examples)
    output.result({"results": made}, "\n".join([text, *map(str, [*made, *files])]))
