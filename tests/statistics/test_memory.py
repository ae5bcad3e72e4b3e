"""Bounded memory: the same statistics in groups of layers, within the bound; truncated, rounded factors."""

import gc
import json

import pytest
import torch
from click.testing import CliRunner
from tiny import tiny_data, tiny_llama, tiny_statistics
from transformers import LlamaConfig, LlamaForCausalLM

from sst_mergekit.cli import main
from sst_mergekit.core import truncated
from sst_mergekit.errors import SstError, StatisticsError
from sst_mergekit.statistics import collect as collecting
from sst_mergekit.statistics import memory
from sst_mergekit.statistics.collect import Options, collect
from sst_mergekit.statistics.kinds import KINDS
from sst_mergekit.statistics.kinds.kind import Axes, Form
from sst_mergekit.statistics.settings import FACTORS
from sst_mergekit.statistics.sizes import size_of
from sst_mergekit.statistics.store import open_statistics
from sst_mergekit.statistics.tokens import Sequence, batches

ROOM = 30_000  # of the model below a factor pair takes up to 29 kB, all of them 177 kB


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=23, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        tie_word_embeddings=False, initializer_range=0.3,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="module")
def sequences():
    generator = torch.Generator().manual_seed(1)
    return [
        Sequence(tuple(torch.randint(0, 23, (n,), generator=generator).tolist()), 3) for n in (6, 19, 27, 12)
    ]


def forms(kind):
    axes = {
        f"model.layers.{layer}.self_attn.{name}_proj.weight": Axes(torch.eye(32, 20), torch.eye(32, 20))
        for layer in (0, 1)
        for name in "qkvo"
    }
    return Form(axes=axes) if KINDS[kind].axes_by else Form()


@pytest.fixture
def bounded(monkeypatch):
    """Leave `ROOM` to the sums, whatever the process holds; return the bytes held at the end of each pass."""
    monkeypatch.setattr(memory, "in_use", lambda _device: 0)
    monkeypatch.setattr(memory, "FIXED", 0)
    monkeypatch.setattr(memory, "batch_bytes", lambda *_: (0, 0))
    seen = []
    real = collecting._pass

    def recorded(model, sequences, options, kinds, *more):
        real(model, sequences, options, kinds, *more)
        rows = [row for kind in kinds.values() for row in getattr(kind, "rows", [])]
        sketches = [sketch.rows for kind in kinds.values() for sketch in kind.sketches.values()]
        sums = [tensor for kind in kinds.values() for tensor in kind.sums.values()]
        seen.append(sum(tensor.nbytes for tensor in [*sums, *rows, *sketches]))

    monkeypatch.setattr(collecting, "_pass", recorded)
    return seen


@pytest.mark.parametrize("kind", list(KINDS))
def test_groups_of_layers_measure_the_same_within_the_bound(model, sequences, bounded, kind):
    options = Options(kind, forms(kind), batch_size=2, progress=False, labels="sampled")
    whole = collect(model, sequences, options)
    all_at_once = bounded.pop()
    parts = collect(model, sequences, Options(**(options.__dict__ | {"max_memory": ROOM})))
    assert whole.passes == 1 < len(bounded) == parts.passes
    assert max(bounded) <= ROOM < all_at_once
    assert list(parts.means) == list(whole.means)
    for name, means in whole.means.items():
        assert means.keys() == parts.means[name].keys()
        assert all(torch.equal(parts.means[name][key], tensor) for key, tensor in means.items())


@pytest.mark.parametrize("kind", list(KINDS))
def test_what_a_layer_will_hold_is_foretold(model, sequences, bounded, kind, monkeypatch):
    told = []
    monkeypatch.setattr(memory, "grouped", lambda held, _: [told.append(sum(held.values())) or list(held)])
    options = Options(kind, forms(kind), batch_size=2, progress=False, max_memory=10**9)
    collect(model, sequences, options)
    assert set(bounded) == set(told)


def test_sketched_factors_hold_what_was_foretold(model, sequences, bounded, monkeypatch):
    told = []
    monkeypatch.setattr(memory, "grouped", lambda held, _: [told.append(sum(held.values())) or list(held)])
    monkeypatch.setattr("sst_mergekit.statistics.kinds.kind.kept_rows", lambda size, rank: rank + 2)
    form = Form(factor_rank=3)
    found = collect(model, sequences, Options("kronecker", form, progress=False, max_memory=10**9))
    assert set(bounded) == set(told)
    assert found.means["model.layers.1.mlp.down_proj.weight"]["input"].shape == (48, 4)


def test_the_batch_shrinks_before_the_bound_is_broken(model, sequences, bounded, monkeypatch):
    def taken(_model, batch, _inputs):
        return len(batch.ids) * 10_000, 0

    monkeypatch.setattr(memory, "batch_bytes", taken)
    roomy = collect(model, sequences, Options(batch_size=4, progress=False, max_memory=10**6))
    assert (roomy.batch_size, roomy.passes) == (4, 1)
    tight = collect(model, sequences, Options(batch_size=4, progress=False, max_memory=ROOM + 15_000))
    assert tight.batch_size == 1


def test_too_little_memory_says_how_much_is_needed(model, sequences):
    with pytest.raises(StatisticsError, match="1 MB: the widest layer needs about .*--factor-rank"):
        collect(model, sequences, Options(progress=False, max_memory=10**6))


def test_counting_a_batch_leaves_nothing_in_memory(model, sequences):
    """An output that is saved as itself holds the node that holds it, and is never freed."""

    def held() -> int:
        gc.collect()
        return sum(isinstance(each, torch.Tensor) and each.grad_fn is not None for each in gc.get_objects())

    batch = next(batches(sequences, 4, "cpu"))
    before = held()
    memory.batch_bytes(model, batch, {"head": model.lm_head})
    assert held() == before


def test_a_batchs_bytes_grow_with_the_batch(model, sequences):
    batches = [next(collecting.batches(sequences[1:2] * n, n, "cpu")) for n in (1, 4)]
    modules = {"head": model.lm_head}
    with collecting.measuring(model):
        (one, x), (four, xs) = (memory.batch_bytes(model, batch, modules) for batch in batches)
    assert 3.5 * one < four < 4.5 * one
    assert (x, xs) == (19 * 32 * 4, 4 * 19 * 32 * 4)


@pytest.mark.parametrize("text", ["", "8 apples", "-1GB", "0", "1.2.3GB"])
def test_a_size_that_is_none_is_an_error(text):
    with pytest.raises(SstError, match="expected a size such as 8GB"):
        size_of(text)


@pytest.mark.parametrize("factors", FACTORS)
@pytest.mark.parametrize(("rank", "kept"), [(4, None), (40, None), (4, 60)])
def test_factor_rank_keeps_the_top_of_each_dense_factor(model, sequences, rank, kept, factors, monkeypatch):
    """Also of a sketch; of one with more rows than the matrix has rank nothing is lost."""
    monkeypatch.setattr("sst_mergekit.statistics.kinds.kind.kept_rows", lambda *_: kept)
    whole = collect(model, sequences, Options(form=Form(factors), progress=False)).means
    found = collect(model, sequences, Options(form=Form(factors, factor_rank=rank), progress=False)).means
    for name, means in whole.items():
        for key, tensor in means.items():
            expected = truncated.cut(tensor, rank) if tensor.ndim == 2 else tensor
            mine = found[name][key]
            assert truncated.is_truncated(mine) == truncated.is_truncated(expected)
            if truncated.is_truncated(mine):
                mine, expected = truncated.expand(mine), truncated.expand(expected)
            torch.testing.assert_close(mine, expected, rtol=1e-3, atol=1e-5)


def test_the_command_bounds_truncates_and_rounds(tmp_path):
    model, data = tiny_llama(tmp_path / "model", 0), tiny_data(tmp_path / "data.jsonl")
    words = ["fisher", "--model", str(model), "--data", str(data), "--factor-rank", "3", "--store-dtype",
             "bfloat16", "--max-memory", "20GB", "--out", str(tmp_path / "out"), "--json"]  # fmt: skip
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["passes"], told["batch_size"], told["max_memory"]) == (1, 3, 20 * 10**9)
    store = open_statistics(str(tmp_path / "out"))
    assert store.manifest.form["factor_rank"] == 3
    assert store.manifest.form["store_dtype"] == "bfloat16"
    record = store.manifest.layers["model.layers.0.mlp.down_proj.weight"]
    tensors = store.tensors(record, ("input", "output"))
    assert {name: (tuple(t.shape), t.dtype) for name, t in tensors.items()} == {
        "input": ((24, 4), torch.bfloat16),
        "output": ((16, 4), torch.bfloat16),
    }
    whole = open_statistics(str(tiny_statistics(tmp_path / "whole", model, data)))
    for name, value in whole.manifest.layers["model.layers.0.mlp.down_proj.weight"].traces.items():
        assert record.traces[name] == pytest.approx(value, rel=0.02)


def test_truncation_is_of_factors_alone(tmp_path):
    words = ["fisher", "--model", "m", "--data", "d", "--kind", "diagonal", "--factor-rank", "3", "--out"]
    result = CliRunner().invoke(main, [*words, str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "of kind kronecker or activation alone" in result.output


@pytest.mark.parametrize("rank", [None, 3])
@pytest.mark.parametrize("kind", list(KINDS))
def test_shapes_are_foretold(model, sequences, kind, rank, monkeypatch):
    monkeypatch.setattr("sst_mergekit.statistics.kinds.kind.kept_rows", lambda size, rank: rank + 2)
    options = Options(kind, Form(axes=forms(kind).axes, factor_rank=rank), progress=False)
    with collecting.measuring(model):
        told = collecting.choose(model, sequences, options).kinds
    for name, means in collect(model, sequences, options).means.items():
        assert told[name].shapes(len(sequences)) == {key: tuple(t.shape) for key, t in means.items()}
