"""Recipes that cannot be carried out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from bad_input import Case, in_yaml, text

MERGE, UNCHECKED = "yaml {root}/bad.yml {out} --quiet", "yaml {root}/bad.yml {out} --quiet --no-check"


def recipe(line: str, change: Callable[[dict], object], words: str = MERGE) -> Case:
    return Case(words, line, in_yaml("full.yml", change, "bad.yml"))


def parameter(name: str, value: Any, line: str) -> Case:
    return recipe(line, lambda body: body.setdefault("parameters", {}).update({name: value}))


def of_guard(name: str, value: Any, line: str) -> Case:
    return recipe(line, lambda body: body["models"][1]["parameters"].update({name: value}))


def whole(content: str | bytes, line: str) -> Case:
    return Case(MERGE, line, text("bad.yml", content))


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)

CASES = {
    "recipe not there": Case("yaml {root}/none.yml {out} --quiet", "none.yml"),
    "recipe is a folder": Case("check {root}/base", "base: cannot be read"),
    "empty": whole("", "bad.yml: holds NoneType, expected keys"),
    "binary": whole(bytes(range(256)), "bad.yml: cannot be read"),
    "latin-1": whole("merge_method: 'sst' # \xe9".encode("latin-1"), "bad.yml: cannot be read"),
    "utf-16": whole("merge_method: sst".encode("utf-16"), "bad.yml: cannot be read"),
    "a zero byte": whole("merge_method: s\0t", "bad.yml: not YAML"),
    "no YAML": whole("merge_method: [sst", "bad.yml: line 1"),
    "a list": whole("- merge_method: sst", "bad.yml: holds list"),
    "a word": whole("sst", "bad.yml: holds str"),
    "a key twice": whole("merge_method: sst\nmerge_method: ties", "bad.yml: line 2.*written twice"),
    "a Python object": whole("merge_method: !!python/object/apply:os.system [ls]", "bad.yml: line 1"),
    "a list in itself": whole("merge_method: sst\nmodels: &a [*a]", "bad.yml: .*itself"),
    "a mapping in itself": whole("merge_method: sst\nparameters: &a {x: *a}", "bad.yml: .*itself"),
    "a billion laughs": whole(LAUGHS, "bad.yml: .*repeat"),
    "nested too deeply": whole("models: " + "[" * 5000 + "]" * 5000, "bad.yml: .*deep"),
    "a number too long": whole("parameters: {cost: " + "9" * 5000 + "}", "bad.yml: "),
    "no such day": whole("merge_method: 2020-13-45", "bad.yml: "),
    "a list for a key": whole("? [a]\n: b", "bad.yml: line 1"),
    "unknown key": recipe("dtpye: unknown key.*'dtype'", lambda b: b.update(dtpye="float32")),
    "no method": recipe("merge_method: ", lambda b: b.pop("merge_method")),
    "unknown method": recipe("merge_method: .*'sst'", lambda b: b.update(merge_method="sts")),
    "method is a number": recipe("merge_method: ", lambda b: b.update(merge_method=3)),
    "no models": recipe("models: got none", lambda b: b.pop("models")),
    "models empty": recipe("models: ", lambda b: b.update(models=[])),
    "models a word": recipe("models: ", lambda b: b.update(models="base")),
    "models and slices": recipe(
        "models: got models and slices", lambda b: b.update(slices=[{"sources": []}])
    ),
    "no model in an entry": recipe(r"models\[0\]", lambda b: b["models"][0].pop("model")),
    "model a number": recipe(r"models\[0\].model", lambda b: b["models"][0].update(model=7)),
    "model not there": recipe(
        r"models\[0\].model: .*no such dir", lambda b: b["models"][0].update(model="/x/y")
    ),
    "two adapters on one": recipe(r"models\[1\]", lambda b: b["models"][1].update(model="a+b+c")),
    "nothing after +": recipe(r"models\[1\]", lambda b: b["models"][1].update(model="/a/b+")),
    "no base": recipe("base_model: ", lambda b: b.pop("base_model")),
    "base not there": recipe("base_model: .*no such directory", lambda b: b.update(base_model="/no/where")),
    "no role": recipe(r"models\[1\].*role", lambda b: b["models"][1]["parameters"].pop("role")),
    "unknown role": of_guard("role", "safty", r"models\[1\].parameters.role: .*safty"),
    "no safety": of_guard("role", "utility", "safety"),
    "no statistics named": recipe("fisher", lambda b: b["models"][1]["parameters"].pop("fisher")),
    "statistics not there": of_guard("fisher", "/no/where", r"models\[1\].parameters.fisher: .*/no/where"),
    "statistics of no user": of_guard(
        "fisher", "~nobody.here/f", r"models\[1\].parameters.fisher: .*~nobody.here/f"
    ),
    "model of no user": recipe(
        r"models\[0\].model: '~nobody.here/m': mergekit does not expand",
        lambda b: b["models"][0].update(model="~nobody.here/m"),
    ),
    "statistics a number": of_guard("fisher", 3, r"models\[1\].parameters.fisher: "),
    "weight not finite": of_guard("weight", math.nan, "weight"),
    "unknown parameter": parameter("strenght", 1, "parameters.strenght: .*'strength'"),
    "strength a word": parameter("strength", "much", "parameters.strength: "),
    "strength NaN": parameter("strength", math.nan, "parameters.strength: "),
    "strength infinite": parameter("strength", math.inf, "parameters.strength: "),
    "cost negative": parameter("cost", -1, "parameters.cost: "),
    "cost NaN": parameter("cost", math.nan, "parameters.cost: "),
    "cost nothing": parameter("cost", None, "parameters.cost: "),
    "cost a mapping": parameter("cost", {"x": 1}, "parameters.cost"),
    "density 0": parameter("density", 0, "parameters.density: "),
    "density 2": parameter("density", 2, "parameters.density: "),
    "damping negative": parameter("damping", -1, "parameters.damping: "),
    "damping infinite": parameter("damping", math.inf, "parameters.damping: "),
    "unknown filter": parameter("filter", "sfot", "parameters.filter: .*soft"),
    "unknown geometry": parameter("geometry", "kroneker", "parameters.geometry: .*kronecker"),
    "geometry without its statistics": parameter("geometry", "diagonal", "diagonal"),
    "unknown balance": parameter("balance", "none of it", "parameters.balance: "),
    "unknown on_missing": parameter("on_missing", "drop", "parameters.on_missing: "),
    "seed a word": parameter("seed", "one", "parameters.seed: "),
    "layer weight negative": parameter("layer_weight", -2, "parameters.layer_weight: "),
    "dtype": recipe("dtype: .*float33", lambda b: b.update(dtype="float33")),
    "out_dtype": recipe("out_dtype: .*float33", lambda b: b.update(out_dtype="float33")),
    "out_dtype a number": recipe("out_dtype: ", lambda b: b.update(out_dtype=16)),
    "dtype, unchecked": recipe("dtype: .*float33", lambda b: b.update(dtype="float33"), UNCHECKED),
    "out_dtype, unchecked": recipe(
        "out_dtype: .*float33", lambda b: b.update(out_dtype="float33"), UNCHECKED
    ),
    "unknown method, unchecked": recipe("sts", lambda b: b.update(merge_method="sts"), UNCHECKED),
    "no models, unchecked": recipe("models", lambda b: b.pop("models"), UNCHECKED),
    "model not there, unchecked": recipe("/x/y", lambda b: b["models"][0].update(model="/x/y"), UNCHECKED),
    "no YAML, unchecked": Case(UNCHECKED, "bad.yml", text("bad.yml", "merge_method: [sst")),
    "a word, unchecked": Case(UNCHECKED, "bad.yml", text("bad.yml", "sst")),
    "role, unchecked": recipe("role", lambda b: b["models"][1]["parameters"].pop("role"), UNCHECKED),
    "filter, unchecked": recipe("sfot", lambda b: b.update(parameters={"filter": "sfot"}), UNCHECKED),
    "tokenizer_source": recipe("tokenizer_source", lambda b: b.update(tokenizer_source=5)),
    "for lora: another method": Case(
        "lora {root}/bad.yml {out}",
        "merge_method: ",
        in_yaml("adapters.yml", lambda b: b.update(merge_method="ties"), "bad.yml"),
    ),
    "for lora: a full model": Case("lora {root}/full.yml {out} --quiet", r"models\[0\]"),
    "for lora: out_dtype, unchecked": Case(
        "lora {root}/bad.yml {out} --quiet --no-check",
        "out_dtype: .*float33",
        in_yaml("adapters.yml", lambda b: b.update(out_dtype="float33"), "bad.yml"),
    ),
    "for inspect: not there": Case("inspect {root}/none.yml", "none.yml: cannot be read"),
}
