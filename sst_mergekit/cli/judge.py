"""``sst-mergekit judge``: verdicts of a judge on the answers that lm-eval logged."""

from __future__ import annotations

from pathlib import Path

import click

from sst_mergekit.cli import output
from sst_mergekit.errors import SstError
from sst_mergekit.judging.judge import Judge
from sst_mergekit.judging.report import figures, line
from sst_mergekit.judging.run import judge_files, place
from sst_mergekit.judging.shapes import SHAPES

OPENAI = "openai"
DTYPES = ("bfloat16", "float16", "float32")
positive = click.IntRange(min=1)


@click.command("judge", cls=output.Command)
@click.argument("samples", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--judge", "name", required=True, type=click.Choice([*SHAPES, OPENAI]), help="Who judges.")
@click.option(
    "--judge-model", help="Other weights of that kind (id or path); the model's name at --base-url."
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write to.  [default: the files']")
@click.option("--cache", type=click.Path(path_type=Path), help="[default: judge_cache.sqlite in that folder]")
@click.option("--prompt-field", default="prompt", show_default=True, help="Field of doc that is the prompt.")
@click.option("--device", help="cpu, cuda, cuda:1, ...  [default: cuda if there is one]")
@click.option("--dtype", type=click.Choice(DTYPES), default=DTYPES[0], show_default=True)
@click.option("--batch-size", type=positive, default=8, show_default=True, help="Halved if memory runs out.")
@click.option("--base-url", help="Of an OpenAI-compatible server, e.g. http://localhost:8000/v1.")
@click.option("--api-key-env", help="Environment variable with the key.  [default: no key is sent]")
@click.option("--concurrency", type=positive, default=8, show_default=True, help="Requests at once.")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=60.0, show_default=True, help="Seconds.")
@click.option("--retries", type=click.IntRange(min=0), default=5, show_default=True, help="Of a request.")
def command(
    samples: tuple[Path, ...],
    name: str,
    judge_model: str | None,
    out: Path | None,
    cache: Path | None,
    prompt_field: str,
    device: str | None,
    dtype: str,
    batch_size: int,
    base_url: str | None,
    api_key_env: str | None,
    concurrency: int,
    timeout: float,
    retries: int,
) -> None:
    """Judge the answers in SAMPLES, the samples_*.jsonl files of 'lm_eval --log_samples'.

    Writes judged_<task>_<time>.<judge>.jsonl (refusal, harmful or safe; coherent or not) and
    judge_report.<judge>.md and .json: rates, and how far the keywords agree with the judge. Answers are
    cached one by one: after an interrupt the same command goes on where it stopped. Of the options below
    --prompt-field, those from --device to --batch-size are for local weights, the others for 'openai'.
    --json prints {report, files: [{file, task, sha256, n, counts, rates, agreement}]}.
    """
    local = name != OPENAI
    _require_options(local, base_url, judge_model, api_key_env, device)
    where = place(samples, out, cache, _label(name, judge_model))

    def load() -> Judge:
        if local:
            return _local(name, judge_model, device, dtype, batch_size)
        return _endpoint(base_url, judge_model, api_key_env, concurrency, timeout, retries)

    results = judge_files(samples, where, load, prompt_field, output.progress())
    report = where.out / f"judge_report.{where.label}.md"
    text = "\n".join([*(line(*each) for each in results), f"{report}: written"])
    output.result({"report": report, "files": figures(results)}, text)


def _require_options(
    local: bool, base_url: str | None, model: str | None, key: str | None, device: str | None
) -> None:
    if local and (base_url or key):
        raise SstError("--base-url, --api-key-env: for --judge openai alone; drop them for a local judge")
    if not local and device:
        raise SstError("--device: for a local judge; drop it for --judge openai")
    if not local and not (base_url and model):
        raise SstError("--judge openai: needs --base-url URL and --judge-model NAME")


def _label(name: str, model: str | None) -> str:
    """Return the judge's name for files, with the model's if it is not the usual one.

    >>> _label("wildguard", None), _label("openai", "org/some model:7b")
    ('wildguard', 'openai-some_model_7b')
    """
    if model is None:
        return name
    last = model.rstrip("/").rpartition("/")[2]
    return f"{name}-" + "".join(sign if sign.isalnum() or sign in "-_" else "_" for sign in last)


def _local(name: str, model: str | None, device: str | None, dtype: str, batch_size: int) -> Judge:
    from sst_mergekit.judging.local import load_judge
    from sst_mergekit.statistics.loading import ModelSpec, default_device, require_device

    on = device or default_device()
    require_device(on)
    return load_judge(SHAPES[name], ModelSpec(model or SHAPES[name].model, None, dtype, on), batch_size)


def _endpoint(
    base_url: str | None, model: str | None, key: str | None, concurrency: int, timeout: float, retries: int
) -> Judge:
    from sst_mergekit.judging.address import read_base_url, read_key
    from sst_mergekit.judging.endpoint import Endpoint, EndpointJudge

    address = read_base_url(base_url or "")
    return EndpointJudge(Endpoint(address, model or "", read_key(key), concurrency, timeout, retries))
