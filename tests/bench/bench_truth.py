"""How well each statistic foretells divergences: one world of the demo, and any real model.

The world is that of $SST_TRUTH_WORLD (a seed's folder of ``sst-mergekit demo``), else one trained for it. A
real model is given by $SST_TRUTH_BASE, _UTILITY and _SAFETY (adapters or full models) and rows measured on,
_BENIGN and _HARM, with others held out, _HELD_BENIGN and _HELD_HARM; $SST_TRUTH_DEVICE and _DTYPE say where
and how it runs. $SST_TRUTH_BRIEF leaves out subspace, and tries few patches, of the attention of
every tenth decoder layer: for a CPU.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sst_mergekit.adapters.deltas import deltas
from sst_mergekit.core.geometries import GEOMETRIES
from sst_mergekit.inspection.truth import (
    COSTS,
    NORMS,
    Divergence,
    Pair,
    Probe,
    agreement,
    filtered,
    norm,
    plain,
    scaled,
)
from sst_mergekit.metrics import text
from sst_mergekit.statistics import passes
from sst_mergekit.statistics.axes import patch_axes
from sst_mergekit.statistics.collect import Collected, collect
from sst_mergekit.statistics.kinds import KINDS
from sst_mergekit.statistics.layers import linear_layers
from sst_mergekit.statistics.loading import load_model, load_tokenizer
from sst_mergekit.statistics.positions import AFTER_FIRST, ALL, RESPONSE
from sst_mergekit.statistics.rows import Source, prompt_hashes, read_conversations
from sst_mergekit.statistics.settings import FACTORS, LABELS, Form, ModelSpec, Options
from sst_mergekit.statistics.tokens import tokenize

SECTION = "Truth of prices"
MEASURED, RANK = 256, 16  # rows of a world that are measured; of subspace
DAMPINGS = (0.1, 0.3, 1.0)
BRIEF = bool(os.environ.get("SST_TRUTH_BRIEF"))
TRIED = ((0.3,), (1.0,), 18) if BRIEF else (COSTS, NORMS, None)  # costs, norms, layers alone
ORDER = ("harm", "benign")
Sides = tuple[Any, Any]  # harm and benign


@dataclass(frozen=True)
class Subject:
    """Models, the patch, and rows: measured and held out, harm and benign each."""

    models: Sides
    patch: dict[str, Tensor]
    measured: Sides
    held_out: Sides


def subject(base: str, experts: tuple[str, str], files: tuple[str, str], held: tuple[str, ...]) -> Subject:
    """Return safety and utility expert with their rows; without files held out, what is left of the first."""
    where = os.environ.get("SST_TRUTH_DEVICE", "cpu"), os.environ.get("SST_TRUTH_DTYPE", "float32")
    specs = [
        ModelSpec(base, each, where[1], where[0])
        if (Path(each) / "adapter_config.json").is_file()
        else ModelSpec(each, None, where[1], where[0])
        for each in experts
    ]
    tokenizer, models = load_tokenizer(specs[0]), [load_model(spec) for spec in specs]
    measured, others = [], []
    for number, file in enumerate(files):
        rows = read_conversations(Source(file), None, 0)
        first, rest = rows[:MEASURED], rows[MEASURED:]
        if held:
            first, rest = rows, read_conversations(Source(held[number]), None, 0)
        known = set(prompt_hashes(first))
        rest = [row for row in rest if not known & set(prompt_hashes([row]))]
        for found, part in ((measured, first), (others, rest)):
            found.append([tokenize(row, tokenizer, 512, bool(tokenizer.chat_template)) for row in part])
    layers = {x.name: x for x in linear_layers(models[0])[0] if not (x.embedding or x.head)}
    expert = f"{base}+{experts[0]}" if specs[0].adapter else experts[0]
    patch = {
        name: (change.T if stored and layers[name].transposed else change).double()
        for name, change, stored in deltas(base, expert)
        if name in layers and not (BRIEF and (int(re.findall(r"\d+", name)[0]) % 10 or "attn" not in name))
    }
    return Subject(tuple(models), patch, tuple(measured), tuple(others))


def means(about: Subject, kind: str, labels: str, form: Form | None = None) -> list[Collected]:
    """Return one kind's statistics of both sides."""
    found = Options(
        kind, form or Form(), labels, batch_size=32, progress=False, device=str(about.models[0].device)
    )
    return [collect(model, rows, found) for model, rows in zip(about.models, about.measured, strict=True)]


def pair(about: Subject, kind: str, *more: Any) -> Pair:
    """Return the same for the patch's layers, shared input factors in each layer's place."""
    sides = [{name: each.of(name) for name in about.patch} for each in means(about, kind, *more)]
    return Pair(GEOMETRIES[kind], *sides)


def compared(about: Subject, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Pair]]:
    """Yield every statistic by name."""
    for labels in LABELS:
        for each in FACTORS:
            yield f"kronecker, {each}, {labels}", pair(about, "kronecker", labels, Form(each))
        yield f"diagonal, {labels}", pair(about, "diagonal", labels)
        if BRIEF:
            continue
        axes = patch_axes(((name, change, False) for name, change in about.patch.items()), RANK)
        yield f"subspace, {labels}", pair(about, "subspace", labels, Form(axes=axes))
    for name, rule in {"after first": AFTER_FIRST, "all": ALL, "response": RESPONSE}.items():
        monkeypatch.setattr(KINDS["activation"], "used", rule)
        yield f"activation, {name}", pair(about, "activation", "given")


def damped(one: Pair, damping: float, unit: Callable[[Tensor], Tensor]) -> Pair:
    """Return Kronecker statistics with a multiple of the identity added to each factor."""

    def more(factor: Tensor) -> Tensor:
        values = torch.linalg.eigvalsh(factor.double()).clamp(min=0)
        return factor.double() + damping * unit(values) * torch.eye(len(factor)).double()

    sides = [{name: {k: more(f) for k, f in each.items()} for name, each in side.items()}
             for side in (one.harm, one.benign)]  # fmt: skip
    return Pair(one.geometry, *sides)


def varied(about: Subject, pairs: Mapping[str, Pair]) -> Iterator[tuple[str, Pair]]:
    """Yield what is made of statistics and priced only."""
    for labels in LABELS:
        one = pairs[f"kronecker, sequence, {labels}"]
        for name, unit in {"mean": torch.mean, "median": torch.median}.items():
            for damping in DAMPINGS:
                yield f"the same, {labels}, damped by {damping:g} of the {name}", damped(one, damping, unit)


def table(about: Subject, pairs: Mapping[str, Pair]) -> tuple[list[str], dict[str, list[float]]]:
    """Return the table as markdown, and each statistic's rank correlations of harm and benign.

    A price is homogeneous of degree 2, so that of a filtered patch is asked for at one size alone.
    """
    rows: dict[str, list[str]] = {}
    ranks: dict[str, list[float]] = {}
    every = pairs | dict(varied(about, pairs))
    priced = {name: (one.geometry.quadratic, one) for name, one in every.items()}
    for number, side in enumerate(ORDER):
        sign = -1.0 if side == "harm" else 1.0
        costs, norms, most = TRIED
        first = [(scaled(each, sign), 1.0) for _, each in plain(about.patch, most=most)]
        harm = side == "harm"
        others = [each for _, each in filtered(about.patch, pairs, costs=costs, norms=(1.0,), harm=harm)]
        patches = [*first, *((each, size) for size in norms for each in others)]
        divergence = Divergence(about.models[number], about.held_out[number], 48)
        measured = [divergence(scaled(each, size)) for each, size in patches]
        asked = [each for each, _ in first] + others
        for name, (quadratic, one) in {"norm alone": (None, None), **priced}.items():
            if one is None:
                found = [norm(each) ** 2 for each in asked]
            else:
                layers = {key: _double(each) for key, each in getattr(one, side).items()}
                found = [sum(quadratic(layers[key], d) for key, d in each.items()) / 2 for each in asked]
            found += found[len(first) :] * (len(norms) - 1)
            known = zip(found, patches, measured, strict=True)
            probes = [Probe(name, each * size**2, wanted) for each, (_, size), wanted in known]
            together, alone = agreement(probes), agreement(probes[: len(first)])
            ranks.setdefault(name, []).append(together.spearman)
            cells = together.spearman, alone.spearman, together.pearson, together.bias
            rows.setdefault(name, []).extend([*(f"{cell:.3f}" for cell in cells), str(together.n)])
            print(side, name, *rows[name][-5:], flush=True)
    columns = [f"{side} {name}" for side in ORDER for name in ("ρ", "ρ plain", "r", "bias", "n")]
    rows = [(name, *cells) for name, cells in rows.items()]
    return text.table(("statistic", *columns), rows).splitlines(), ranks


def _double(side: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.double() for name, tensor in side.items()}


def recorded(report: Any, name: str, about: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Record the table, and the default statistic's rank correlations."""
    every = passes.linear_layers

    def patched_alone(model: Any) -> tuple[list, dict[str, str]]:
        return [layer for layer in every(model)[0] if layer.name in about.patch], {}

    monkeypatch.setattr(passes, "linear_layers", patched_alone)
    lines, ranks = table(about, dict(compared(about, monkeypatch)))
    for side, rank in zip(ORDER, ranks["kronecker, sequence, given"], strict=True):
        report.figure(SECTION, f"{name}: rank correlation of default prices, {side}", [rank], "", None, 0.8)
    rows = " and ".join(f"{len(m)} and {len(h)}" for m, h in zip(about.measured, about.held_out, strict=True))
    text = (
        f"{name}; rows measured and held out, harm and benign: {rows}. ρ is Spearman's, r Pearson's of logs."
    )
    report.note(SECTION, text + "\n\n" + "\n".join(lines))


@pytest.mark.bench
def test_truth_on_a_world(report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Record the table of a world of the demo."""
    given = os.environ.get("SST_TRUTH_WORLD")
    if not given:
        from tiny_world import made

        from sst_mergekit.testbeds.tiny.world import FULL

        places = made(tmp_path, dataclasses.replace(FULL, calibration_rows=400))
    else:
        places = {name: Path(given) / name for name in ("data", "base", "utility", "safety")}
    files = tuple(str(places["data"] / "calibration" / f"{side}.jsonl") for side in ORDER)
    experts = str(places["safety"]), str(places["utility"])
    recorded(report, "demo world", subject(str(places["base"]), experts, files, ()), monkeypatch)


@pytest.mark.bench
def test_truth_on_a_real_model(report, monkeypatch: pytest.MonkeyPatch) -> None:
    """Record the table of the model that the environment names."""
    names = "BASE", "SAFETY", "UTILITY", "HARM", "BENIGN", "HELD_HARM", "HELD_BENIGN"
    given = [os.environ.get(f"SST_TRUTH_{name}") for name in names]
    if None in given:
        pytest.skip("no real model; see the module's docstring")
    base, safety, utility, harm, benign, *held = map(str, given)
    about = subject(base, (safety, utility), (harm, benign), tuple(held))
    recorded(report, Path(base).name, about, monkeypatch)
