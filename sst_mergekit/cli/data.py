"""``sst-mergekit data``: downloads the data sets, and splits them without a shared prompt."""

from __future__ import annotations

from pathlib import Path

import click

from sst_mergekit.cli import output

SIZE = click.Choice(["30k", "330k"])


@click.group("data")
def command() -> None:
    """Download BeaverTails, MMLU, HumanEval and XSTest, and split them."""


@command.command("download", cls=output.Command)
@click.option(
    "--dataset",
    type=click.Choice(["beavertails", "mmlu", "humaneval", "xstest", "all"]),
    default="all",
    show_default=True,
)
@click.option("--size", type=SIZE, default="30k", show_default=True, help="Of BeaverTails.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("data/cache"), show_default=True)
def download_command(dataset: str, size: str, out: Path) -> None:
    """Download data sets from the Hub as the lm-eval tasks read them; what is there is kept.

    BeaverTails is CC BY-NC 4.0 and holds harmful texts. --json prints {done: [lines]}.
    """
    from sst_mergekit.testbeds.hub.download import DATASETS, download

    lines = []
    for line in download(DATASETS if dataset == "all" else (dataset,), out, size):
        output.note(line)
        lines.append(line)
    output.result({"done": lines}, "")


@command.command("prepare", cls=output.Command)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path("data/cache"),
    show_default=True,
    help="The downloaded data.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new folder.")
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="YAML with the sizes.  [default: the package's own]",
)
@click.option("--mode", type=click.Choice(["minimal", "full"]), default="minimal", show_default=True)
@click.option("--model", default="mistral-7b", show_default=True, help="Whose sizes of the file.")
@click.option("--size", type=SIZE, default="30k", show_default=True, help="Of BeaverTails.")
@click.option("--calibration", type=click.IntRange(min=1), default=256, show_default=True, help="Rows.")
@click.option("--development", type=click.IntRange(min=1), default=200, show_default=True, help="Prompts.")
@click.option("--seed", type=int, default=42, show_default=True)
def prepare_command(
    data: Path,
    out: Path,
    config_path: Path | None,
    mode: str,
    model: str,
    size: str,
    calibration: int,
    development: int,
    seed: int,
) -> None:
    """Split the data into train, calibration, dev and test, none of which share a prompt.

    dev and test are folders for --metadata '{"data_dir": DIR}'. --json prints {out, rows: {file: number}}.
    """
    from sst_mergekit.experiments.config import chosen_models, load
    from sst_mergekit.resources import recipes_path
    from sst_mergekit.testbeds.hub.prepare import prepare
    from sst_mergekit.testbeds.hub.splits import Wanted

    config = load(config_path or recipes_path() / "experiments" / "experiments.yml")
    [found] = chosen_models(config, model)
    wanted = Wanted(found.sizes[mode], calibration, development, size, seed)
    made = prepare(data, out, wanted)
    text = "\n".join(f"{out / name}: {rows} rows" for name, rows in made.items())
    output.result({"out": out, "rows": made}, text)
