"""Arguments that make no sense, and folders that are not what a command needs."""

from __future__ import annotations

from bad_input import Case, both, text

MEASURE = "fisher --model {root}/utility --data {root}/data.jsonl --quiet"
TOKEN = "hf_" + "a1B2" * 8


def _folder(name: str):
    return lambda root: (root / name).mkdir()


CASES = {
    "no such command": Case("fischer", "No such command 'fischer'"),
    "no such option": Case("check {root}/full.yml --fast", "No such option"),
    "no recipe": Case("check", "Missing argument 'RECIPE'"),
    "no model": Case("fisher --data {root}/data.jsonl --out {out}", "Missing option '--model'"),
    "model not there": Case("fisher --model {root}/none --data {root}/data.jsonl --out {out}", "none: "),
    "adapter not there": Case(
        MEASURE + " --out {out} --adapter {root}/none", "none: the adapter cannot be loaded"
    ),
    "unknown kind": Case(MEASURE + " --out {out} --kind kroneker", "--kind.*'kroneker'"),
    "samples 0": Case(MEASURE + " --out {out} --samples 0", "--samples"),
    "samples a word": Case(MEASURE + " --out {out} --samples all", "--samples"),
    "batch size negative": Case(MEASURE + " --out {out} --batch-size -1", "--batch-size"),
    "unknown dtype": Case(MEASURE + " --out {out} --dtype int4", "--dtype"),
    "unknown device": Case(MEASURE + " --out {out} --device tpu", "--device tpu: not available here"),
    "device not here": Case(
        MEASURE + " --out {out} --device cuda:77", "--device cuda:77: not available here"
    ),
    "a kind of the past": Case(MEASURE + " --out {out} --kind ekfac", "--kind.*'ekfac'"),
    "patch missing": Case(MEASURE + " --out {out} --kind subspace", "give --patch BASE EXPERT"),
    "patch not there": Case(MEASURE + " --out {out} --kind subspace --patch {root}/base {root}/none", "none"),
    "a form of another kind": Case(
        MEASURE + " --out {out} --factors reduce --kind diagonal", "--kind diagonal"
    ),
    "a template that is not there": Case(MEASURE + " --out {out} --chat-template", "no chat template"),
    "out is there": Case(
        MEASURE + " --out {root}/base", "base: exists; choose another place, or give --force"
    ),
    "out is a file": Case(MEASURE + " --out {root}/data.jsonl --force", "data.jsonl: exists"),
    "out under a file": Case(MEASURE + " --out {root}/data.jsonl/x", "data.jsonl"),
    "a name too long for out": Case(MEASURE + " --out {root}/" + "x" * 300, "x: "),
    "yaml: out is there": Case("yaml {root}/full.yml {root}/base --quiet", "base: exists"),
    "yaml: out is a file": Case("yaml {root}/full.yml {root}/data.jsonl --quiet", "data.jsonl: exists"),
    "yaml: no such option": Case("yaml {root}/full.yml {out} --cudda", "No such option"),
    "yaml: no out": Case("yaml {root}/full.yml", "Missing argument 'OUT_PATH'"),
    "lora: rank 0": Case("lora {root}/adapters.yml {out} --rank 0", "--rank"),
    "lora: unknown device": Case("lora {root}/adapters.yml {out} --device tpu", "--device tpu"),
    "lora: out is there": Case("lora {root}/adapters.yml {root}/base --quiet", "base: exists"),
    "refit: rank 0": Case("refit --rank 0", "--rank"),
    "refit: patch not there": Case(
        "refit --model {root}/utility --patch {root}/base {root}/none --harm {root}/data.jsonl "
        "--benign {root}/data.jsonl --out {out} --quiet --steps 1",
        "none",
    ),
    "refit: rate NaN": Case(
        "refit --model {root}/utility --patch {root}/base {root}/safety --harm {root}/data.jsonl "
        "--benign {root}/data.jsonl --out {out} --quiet --steps 1 --learning-rate nan",
        "--learning-rate",
    ),
    "train-lora: steps 0": Case(
        "train-lora --model {root}/base --data {root}/data.jsonl --out {out} --steps 0", "--steps"
    ),
    "train-lora: rate NaN": Case(
        "train-lora --model {root}/base --data {root}/data.jsonl --out {out} --steps 1 --learning-rate nan",
        "--learning-rate",
    ),
    "experiment: unknown model": Case("experiment --model tiny --out {out}", "--model: 'tiny' is not in"),
    "experiment: out is a file": Case("experiment --out {root}/data.jsonl", "data.jsonl: is a file"),
    "experiment: seeds 0": Case("experiment --seeds 0 --out {out}", "--seeds"),
    "experiment: unknown": Case("experiment --experiment exp4 --out {out}", "--experiment"),
    "data: nothing downloaded": Case("data prepare --data {root}/none --out {out}", "none"),
    "data: unknown set": Case("data download --dataset imagenet --out {out}", "--dataset"),
    "push: no repository": Case("push {root}/merged", "Missing argument 'USER/REPO'"),
    "push: half a name": Case("push {root}/merged merged", "merged: expected USER/REPO"),
    "push: three names": Case("push {root}/merged a/b/c", "a/b/c: expected USER/REPO"),
    "push: not there": Case("push {root}/none user/x", "none"),
    "push: nothing in it": Case("push {root}/void user/x", "void", _folder("void")),
    "push: a pickle": Case(
        "push {root}/merged user/x", "x.bin: a pickle", text("merged/x.bin", b"\x80\x04.")
    ),
    "push: a token": Case(
        "push {root}/merged user/x",
        "README.md: holds what looks like an access token",
        text("merged/README.md", TOKEN),
    ),
    "push: a link outward": Case(
        "push {root}/merged user/x",
        "config.json: links to .*outside",
        lambda root: [
            (root / "merged/config.json").unlink(),
            (root / "merged/config.json").symlink_to("/etc/hostname"),
        ],
    ),
    "push: an adapter as statistics": Case("push {root}/guard user/x --statistics", "guard"),
    "push: shards missing": Case(
        "push {root}/merged user/x",
        "names gone.safetensors",
        both(
            text("merged/model.safetensors.index.json", '{"weight_map": {"a": "gone.safetensors"}}'),
            lambda root: (root / "merged/model.safetensors").rename(root / "merged/part.safetensors"),
        ),
    ),
    "card: not there": Case("card {root}/none", "none"),
    "card: nothing in it": Case("card {root}/void", "void", _folder("void")),
    "card: results not there": Case("card {root}/merged --results {root}/none", "none"),
    "card: results damaged": Case(
        "card {root}/merged --results {root}/results_x.json", "results_x.json", text("results_x.json", "{")
    ),
    "card: recipe not there": Case("card {root}/merged --recipe {root}/none.yml", "none.yml"),
    "compare: not there": Case("compare {root}/none {root}/none", "none"),
    "compare: nothing in it": Case("compare {root}/base {root}/utility", "base"),
    "compare: damaged": Case(
        "compare a={root}/runs b={root}/runs",
        "results_2020",
        both(_folder("runs"), text("runs/results_2020-01-01T00-00-00.json", "{")),
    ),
    "compare: resamples 1": Case("compare {root}/a {root}/b --resamples 1", "--resamples"),
    "tally: not there": Case("tally {root}/none", "none"),
    "tally: damaged": Case(
        "tally {root}/void", "void", both(_folder("void"), text("void/results.json", "{"))
    ),
    "judge: not there": Case("judge {root}/none.jsonl --judge wildguard", "none.jsonl"),
    "judge: no address": Case("judge {root}/data.jsonl --judge openai", "needs --base-url URL"),
    "judge: unknown": Case("judge {root}/data.jsonl --judge gpt", "--judge"),
    "judge: no samples": Case(
        "judge {root}/data.jsonl --judge openai --base-url http://localhost:1/v1 --judge-model m",
        "data.jsonl",
    ),
    "inspect: picture in no folder": Case(
        "inspect {root}/full.yml --quiet --picture {root}/none/x.png", "none"
    ),
    "check: adapters of another base": Case(
        "check {root}/full.yml",
        "adapter_config.json",
        text("guard/adapter_config.json", "{"),
    ),
}
