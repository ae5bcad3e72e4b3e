"""Data files that are no prompts and responses, and configurations of experiments."""

from __future__ import annotations

import json
from collections.abc import Callable

from bad_input import Case, in_yaml, text

MEASURE = "fisher --model {root}/utility --out {out} --quiet --data {root}/"
USER, ANSWER = {"role": "user", "content": "w1"}, {"role": "assistant", "content": "w1"}
GOOD = json.dumps({"prompt": "w1 w2", "response": "w3 w4"})
PLAN = "experiment --config {root}/bad.yml --out {out} --experiment exp1"


def lines(line: str, *content: str | bytes, name: str = "bad.jsonl", options: str = "") -> Case:
    body = b"\n".join(each if isinstance(each, bytes) else each.encode() for each in content)
    return Case(f"{MEASURE}{name}{options}", line, text(name, body))


def row(line: str, value: object, options: str = "") -> Case:
    return lines(line, GOOD, json.dumps(value), options=options)


def configured(line: str, change: Callable[[dict], object]) -> Case:
    return Case(PLAN, line, in_yaml("small.yml", change, "bad.yml"))


def tiny(line: str, **keys: object) -> Case:
    return configured(line, lambda body: body["models"]["tiny-world"].update(keys))


def sizes(line: str, part: str, key: str, value: object) -> Case:
    return configured(line, lambda body: body["datasets"]["minimal"][part].update({key: value}))


DATA = {
    "not there": Case(f"{MEASURE}none.jsonl", "none.jsonl: no such file"),
    "of no user": Case(
        "fisher --model {root}/utility --out {out} --quiet --data ~nobody.here/d.jsonl",
        "d.jsonl: no such file",
    ),
    "a folder": Case(f"{MEASURE}base", "base"),
    "empty": lines("bad.jsonl: holds no rows", ""),
    "blank lines": lines("bad.jsonl: holds no rows", "", "  ", ""),
    "no JSON": lines("bad.jsonl:2: not valid JSON", GOOD, "{prompt: w1}"),
    "a line cut": lines("bad.jsonl:2: not valid JSON", GOOD, GOOD[:-5]),
    "a number": lines("bad.jsonl:1: expected a JSON object, got int", "3"),
    "a list": lines("bad.jsonl:1: expected a JSON object, got list", "[]"),
    "nothing": lines("bad.jsonl:1: expected a JSON object, got NoneType", "null"),
    "zero bytes": lines("bad.jsonl:1: not valid JSON", b"\0\0\0"),
    "other fields": row(
        "row 2: field 'prompt' is missing or empty.*question", {"question": "w1", "answer": "w2"}
    ),
    "response empty": row("row 2: field 'response' is missing or empty", {"prompt": "w1", "response": " "}),
    "response a number": row("row 2: field 'response'", {"prompt": "w1", "response": 3}),
    "prompt nothing": row("row 2: field 'prompt'", {"prompt": None, "response": "w1"}),
    "messages a word": row("row 2: messages must be a list", {"messages": "w1"}),
    "messages a number": row("row 2: messages must be a list", {"messages": 5}),
    "messages without role": row("row 2: messages must be a list", {"messages": [{"content": "w1"}]}),
    "messages end with the user": row(
        "row 2: the last message must be", {"messages": [{"role": "user", "content": "w1"}] * 2}
    ),
    "content null": row(
        r"row 2: message 2 \(assistant\) has content null", {"messages": [USER, ANSWER | {"content": None}]}
    ),
    "an image": row(
        "row 2: message 1 has a part that is no text",
        {"messages": [USER | {"content": [{"type": "image"}]}, ANSWER]},
    ),
    "a prompt too long": row(
        "bad.jsonl: row 2: a prompt of 40 tokens",
        {"prompt": "w1 " * 40, "response": "w1"},
        " --max-length 20",
    ),
    "one message": row("row 2: the last message", {"messages": [{"role": "assistant", "content": "w1"}]}),
    "a lone surrogate": lines("row 2: .*surrogate", GOOD, '{"prompt": "w1 \\ud800", "response": "w2"}'),
    "latin-1": lines(
        "bad.jsonl:[12]: not UTF-8", GOOD, '{"prompt": "caf\xe9", "response": "w2"}'.encode("latin-1")
    ),
    "utf-16": lines("bad.jsonl:[12]: not UTF-8", GOOD.encode("utf-16")),
    "two encodings": lines(
        "bad.jsonl:[12]: not UTF-8",
        '{"prompt": "\xe9", "response": "w2"}',
        '{"prompt": "\xe9", "response": "w"}'.encode("cp1252"),
    ),
    "10 MB of no JSON": lines("bad.jsonl:2: not valid JSON", GOOD, "x" * 10_000_000),
    "10 MB in a field of another name": lines(
        "row 2: field 'prompt'", GOOD, json.dumps({"text": "w1 " * 3_300_000})
    ),
    "nested too deeply": lines("bad.jsonl:2: .*deep", GOOD, "[" * 200_000),
    "a number too long": lines("bad.jsonl:2: ", GOOD, '{"prompt": ' + "9" * 5000 + "}"),
    "no room for the response": lines("max-length", GOOD, options=" --max-length 1"),
    "unknown type": lines("bad.txt: unknown file type", GOOD, name="bad.txt"),
    "no table": lines("row 1: field 'prompt'", "x,y", "1,2", name="bad.csv"),
    "ragged table": lines("bad.csv", "prompt,response", "a,b,c,d", "e", name="bad.csv"),
    "no Parquet": lines("bad.parquet: cannot be read as parquet", "PAR1", name="bad.parquet"),
    "JSON of nothing": lines("bad.json", "{", name="bad.json"),
    "field not there": Case(MEASURE + "data.jsonl --prompt-field question", "row 1: field 'question'"),
    "to train-lora": Case(
        "train-lora --model {root}/base --out {out} --quiet --data {root}/bad.jsonl --steps 1",
        "bad.jsonl:1: not valid JSON",
        text("bad.jsonl", "w1"),
    ),
    "to refit": Case(
        "refit --model {root}/utility --patch {root}/base {root}/safety --harm {root}/bad.jsonl "
        "--benign {root}/data.jsonl --out {out} --quiet --steps 1",
        "bad.jsonl:1: not valid JSON",
        text("bad.jsonl", "w1"),
    ),
}

CONFIGS = {
    "not there": Case("experiment --config {root}/none.yml --out {out}", "none.yml: cannot be read"),
    "a folder": Case("experiment --config {root}/base --out {out}", "base: cannot be read"),
    "empty": Case(PLAN, "bad.yml: the file: got None", text("bad.yml", "")),
    "no YAML": Case(PLAN, "bad.yml: not valid YAML", text("bad.yml", "a: [")),
    "binary": Case(PLAN, "bad.yml: not valid YAML", text("bad.yml", b"\xff\xfe\xfd")),
    "a list": Case(PLAN, "bad.yml: the file: got", text("bad.yml", "- a")),
    "a list in itself": Case(PLAN, "bad.yml: ", text("bad.yml", "datasets: &a [*a]")),
    "nested too deeply": Case(PLAN, "bad.yml: ", text("bad.yml", "a: " + "[" * 5000 + "]" * 5000)),
    "a number too long": Case(PLAN, "bad.yml: ", text("bad.yml", "a: " + "9" * 5000)),
    "no such day": Case(PLAN, "bad.yml: ", text("bad.yml", "a: 2020-13-45")),
    "a Python object": Case(PLAN, "bad.yml: not valid YAML", text("bad.yml", "a: !!python/name:os.system")),
    "unknown key": configured("bad.yml: data: unknown key", lambda b: b.update(data=1)),
    "no models": configured("bad.yml: models: missing", lambda b: b.pop("models")),
    "models empty": configured("bad.yml: models: ", lambda b: b.update(models={})),
    "model a word": configured("bad.yml: models.x: ", lambda b: b["models"].update(x="y")),
    "dtype": tiny("torch_dtype: unknown 'int8'", torch_dtype="int8"),
    "a flag a word": tiny("use_flash_attention: got 'no way'", use_flash_attention="no way"),
    "device": tiny("device_map: got 'tpu'", device_map="tpu"),
    "samples 0": sizes("beavertails.train_samples: got 0", "beavertails", "train_samples", 0),
    "samples a word": sizes("beavertails.eval_samples: got 'all'", "beavertails", "eval_samples", "all"),
    "samples true": sizes("beavertails.eval_samples: got True", "beavertails", "eval_samples", True),
    "subjects of numbers": sizes("mmlu.subjects", "mmlu", "subjects", [1, 2]),
    "more than there is": configured(
        "beavertails.eval_samples: 5000 is more than",
        lambda b: b["models"]["tiny-world"]["datasets"]["minimal"]["beavertails"].update(eval_samples=5000),
    ),
    "one expert": configured(
        "num_experts: got", lambda b: b["experiments"]["exp2_multitask"]["minimal"].update(num_experts=[1])
    ),
    "budget 3": configured(
        "budget: got 3", lambda b: b["experiments"]["exp3_baseline"]["minimal"].update(budget=3)
    ),
    "unknown method": configured(
        "methods", lambda b: b["experiments"]["exp3_baseline"]["minimal"].update(methods=["TB"])
    ),
}
