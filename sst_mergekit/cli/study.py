"""``sst-mergekit study``: your own base, experts, data and lm-eval tasks, from training to a scored model."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from sst_mergekit.cli import output

STARTER = """\
# sst-mergekit study {name}      (--plan says what that makes; the same command goes on where it was stopped)
base: {base}                     # Hub id, id@revision or folder
utility: {utility}               # a full model or an adapter on the base, or {{train: FILE, steps: 200}}
safety: {safety}                 # likewise
calibration:
  harm: {harm}                   # refusals of harmful requests
  benign: [{benign}]             # ordinary conversations; {{prompts: FILE}}: answered by the utility expert
tasks:
  # include_path: [./tasks]      # your own lm-eval tasks, beside ours and lm-eval's
  # data_dir: ./data/eval        # of our tasks; the Hub otherwise
  safety: [sst_beavertails_refusal:refusal_rate]
  utility: [sst_xstest:compliance_rate, sst_mmlu:acc]
split: {{dev: 0.3}}                # of each task's documents, by hash; or {{dev: FOLDER, test: FOLDER}}
methods: [task_arithmetic, ties, sst, sst_refit, lora_training, few_shot]
budget: 16                       # settings a method
choose: {{safety: 0.9}}            # or {{tax: 0.1}}, or hypervolume
seeds: [0]
out: ./study
"""


@click.command("study", cls=output.Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--plan", is_flag=True, help="Say what would be made; make nothing.")
@click.option("--only", metavar="measure|METHOD", help="Train and measure alone, or one of the methods.")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes.")
@click.option("--ray", metavar="auto|ADDRESS", help="Make the units on a Ray cluster, one slot each.")
@click.option("--confirm-run-unsafe-code", is_flag=True, help="Let the models' programs run (sst_humaneval).")
@click.option("--init", is_flag=True, help="Write a commented FILE from the options below, and stop.")
@click.option("--base", help="For --init.")
@click.option("--utility", help="For --init.")
@click.option("--safety", help="For --init.")
@click.option("--harm", help="For --init.")
@click.option("--benign", help="For --init.")
def command(file: Path, init: bool, plan: bool, **given: Any) -> None:
    """Study your own base, experts, data and lm-eval tasks, as FILE (YAML) says.

    Trains what is to be trained, measures statistics, merges by every method, tunes each on the development
    documents and scores it on the test documents. The out folder gets results.json, report.html, report.md,
    the units of work, and best/: the chosen model with its card, ready for `sst-mergekit push`. The same
    command goes on where it was stopped. --json prints results.json.
    """
    if init:
        _init(file, given)
        return
    from sst_mergekit.experiments.study import MEASURE, describe
    from sst_mergekit.experiments.study_file import load
    from sst_mergekit.reporting.study import study

    if plan:
        body = describe(load(file))
        output.result(body, "\n".join(f"{key}: {value}" for key, value in body.items()))
        return
    body = study(
        file,
        count=given["workers"],
        ray=given["ray"],
        only=given["only"],
        unsafe_code=given["confirm_run_unsafe_code"],
        progress=output.progress(),
        command=shlex.join(["sst-mergekit", *sys.argv[1:]]),
    )
    if given["only"] == MEASURE:
        output.result(body, "\n".join(f"{name}: {path}" for name, path in body["made"].items()))
        return
    out = load(file).out
    text = (out / "report.md").read_text(encoding="utf-8")
    output.result(body, f"{text}\n{out}: results.json, report.html, report.md, best/")


def _init(file: Path, given: dict[str, Any]) -> None:
    from sst_mergekit.errors import SstError
    from sst_mergekit.files import write_text

    if file.exists():
        raise SstError(f"{file}: is there already; choose another name or delete it")
    names = ("base", "utility", "safety", "harm", "benign")
    missing = [f"--{name}" for name in names if not given[name]]
    if missing:
        raise SstError(f"study --init: {', '.join(missing)} missing; give what the study is about")
    write_text(file, STARTER.format(name=file, **{name: given[name] for name in names}))
    output.result({"study": str(file)}, f"{file}: read it through, then 'sst-mergekit study {file} --plan'")
