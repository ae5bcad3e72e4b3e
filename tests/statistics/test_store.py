import json
import shutil

import pytest
import torch
from tiny import tiny_data, tiny_llama, tiny_statistics

from sst_mergekit.core.geometries import GEOMETRIES
from sst_mergekit.errors import SstError, StatisticsError
from sst_mergekit.files import new_directory
from sst_mergekit.statistics import memory, writer
from sst_mergekit.statistics.collect import Options
from sst_mergekit.statistics.estimate import estimate
from sst_mergekit.statistics.fingerprint import identity, weights_fingerprint
from sst_mergekit.statistics.loading import ModelSpec
from sst_mergekit.statistics.rows import Source
from sst_mergekit.statistics.store import open_statistics


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    model = tiny_llama(folder / "model", 0)
    data = tiny_data(folder / "data.jsonl")
    return model, data, tiny_statistics(folder / "fisher", model, data)


@pytest.fixture
def copy(made, tmp_path):
    return shutil.copytree(made[2], tmp_path / "fisher")


def edit(directory, change):
    path = directory / "manifest.json"
    body = json.loads(path.read_text())
    change(body)
    path.write_text(json.dumps(body))


def test_the_manifest_says_what_was_measured(made):
    model, data, out = made
    manifest = open_statistics(str(out)).manifest
    assert manifest.kind == "kronecker"
    assert manifest.model == {"id": str(model), "revision": None, "weights": weights_fingerprint(model)}
    assert manifest.data["location"] == str(data)
    assert (manifest.data["sequences"], manifest.data["tokens"]) == (3, 9 + 3)  # words and ends
    assert len(manifest.data["sha256"]) == 64
    assert manifest.versions["torch"] == torch.__version__
    assert len(manifest.layers) == 16


def test_traces_are_those_of_the_tensors(made):
    store = open_statistics(str(made[2]))
    kronecker = GEOMETRIES["kronecker"]
    total = 0.0
    for record in store.manifest.layers.values():
        read = store.tensors(record, ("input", "output"))
        traces = [float(t.sum() if t.ndim == 1 else t.trace()) for t in read.values()]
        assert list(record.traces.values()) == pytest.approx(traces, rel=1e-5)
        assert store.trace(record, kronecker) == pytest.approx(traces[0] * traces[1], rel=1e-5)
        total += traces[0] * traces[1]
    assert store.total_trace(kronecker) == pytest.approx(total, rel=1e-5)


def test_shards_hold_the_same_tensors(made, tmp_path, monkeypatch):
    model, data, whole = made
    monkeypatch.setattr(memory, "SHARD", 2000)
    out = tiny_statistics(tmp_path / "sharded", model, data)
    assert len(list(out.glob("*.safetensors"))) > 3
    one, other = open_statistics(str(whole)), open_statistics(str(out))
    for name, record in one.manifest.layers.items():
        mine = other.tensors(other.manifest.layers[name], ("input", "output"))
        for slot, tensor in one.tensors(record, ("input", "output")).items():
            assert torch.equal(tensor, mine[slot])


def test_two_runs_write_the_same_bytes(made, tmp_path):
    model, data, out = made
    again = tiny_statistics(tmp_path / "again", model, data)
    names = sorted(path.name for path in out.iterdir())
    assert names == sorted(path.name for path in again.iterdir())
    for name in names:
        assert (out / name).read_bytes() == (again / name).read_bytes()


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda d: (d / "manifest.json").unlink(), "manifest.json: not found; make statistics with"),
        (lambda d: (d / "manifest.json").write_text("{"), "not valid JSON"),
        (lambda d: (d / "manifest.json").write_text("[]"), "not a manifest of sst-mergekit"),
        (lambda d: edit(d, lambda b: b.update(format_version=9)), "format_version 9, this release reads 3"),
        (
            lambda d: edit(d, lambda b: b.update(format_version=2)),
            r"format_version 2, .* measure again with 'sst-mergekit fisher --force --out .*/fisher'$",
        ),
        (
            lambda d: edit(d, lambda b: b.update(kind="ekfac")),
            "kind 'ekfac', .*; measure again with 'sst-mergekit fisher --kind kronecker --force --out ",
        ),
        (lambda d: edit(d, lambda b: b.pop("layers")), "layers: got None, expected a mapping"),
        (lambda d: edit(d, lambda b: b.update(layers=[])), r"layers: got \[\], expected a mapping"),
        (
            lambda d: edit(d, lambda b: b["weight_map"].update(dict.fromkeys(b["weight_map"], "../x"))),
            r"weight_map\..*got '\.\./x', expected the name of a file in this directory",
        ),
    ],
)
def test_a_damaged_manifest_is_refused(copy, spoil, match):
    spoil(copy)
    (copy.parent / "x").write_bytes(b"outside")
    with pytest.raises(StatisticsError, match=match):
        open_statistics(str(copy))


def first_record(store):
    return next(iter(store.manifest.layers.values()))


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda d: next(d.glob("*.safetensors")).unlink(), "not found, needed for"),
        (lambda d: next(d.glob("*.safetensors")).write_bytes(b"\x00" * 64), "cannot read"),
    ],
)
def test_damaged_files_are_refused(copy, spoil, match):
    spoil(copy)
    store = open_statistics(str(copy))
    with pytest.raises(StatisticsError, match=match):
        store.tensors(first_record(store), ("output",))


def test_a_truncated_file_is_refused(copy):
    path = next(copy.glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-100])
    store = open_statistics(str(copy))
    with pytest.raises(StatisticsError, match="cannot read"):
        store.tensors(first_record(store), ("output",))


def test_a_statistic_that_was_not_measured_is_named(made):
    store = open_statistics(str(made[2]))
    with pytest.raises(StatisticsError, match="holds kronecker statistics .input, output., not 'diagonal'"):
        store.tensors(first_record(store), ("diagonal",))


def test_places_without_statistics(tmp_path):
    with pytest.raises(StatisticsError, match="nowhere: no such directory; make it with"):
        open_statistics(str(tmp_path / "nowhere"))
    with pytest.raises(StatisticsError, match="user/nothing: neither a local directory nor a Hub repository"):
        open_statistics("user/nothing")


def test_changed_statistics_are_read_again(copy):
    before = open_statistics(str(copy)).manifest
    edit(copy, lambda body: body.update(seed=77))
    assert (before.seed, open_statistics(str(copy)).manifest.seed) == (0, 77)


def test_the_fingerprint_knows_models_apart_whatever_their_files(made, tmp_path):
    from transformers import AutoModelForCausalLM

    model = made[0]
    loaded = AutoModelForCausalLM.from_pretrained(model)
    loaded.save_pretrained(tmp_path / "split", max_shard_size="5KB")
    assert len(list((tmp_path / "split").glob("*.safetensors"))) > 1
    assert weights_fingerprint(tmp_path / "split") == weights_fingerprint(model)
    other = tiny_llama(tmp_path / "other", 1)
    assert weights_fingerprint(other) != weights_fingerprint(model)
    with torch.no_grad():
        loaded.lm_head.weight.add_(1e-3)
    loaded.save_pretrained(tmp_path / "moved")
    assert weights_fingerprint(tmp_path / "moved") != weights_fingerprint(model)


def test_a_fingerprint_needs_readable_safetensors(tmp_path):
    assert weights_fingerprint(tmp_path) is None
    assert identity(str(tmp_path / "nowhere"), None)["weights"] is None
    (tmp_path / "model.safetensors").write_bytes(b"abc")
    with pytest.raises(StatisticsError, match="not a readable safetensors file"):
        weights_fingerprint(tmp_path)


def run(made, out, **more):
    spec, source = ModelSpec(str(made[0])), Source(str(made[1]))
    return estimate(spec, source, out, Options(progress=False), **more)


def test_existing_statistics_are_replaced_by_force_alone(made, copy):
    before = (copy / "manifest.json").read_bytes()
    (copy / "mine.txt").write_text("keep")
    with pytest.raises(SstError, match="exists; choose another place, or give --force"):
        run(made, copy)
    assert (copy / "mine.txt").exists()
    run(made, copy, force=True, samples=2)
    assert not (copy / "mine.txt").exists()
    assert (copy / "manifest.json").read_bytes() != before


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError("disk full (a test)")])
def test_an_interrupted_run_leaves_nothing_and_harms_nothing(made, tmp_path, monkeypatch, failure):
    def failing(*_args, **_kwargs):
        raise failure

    monkeypatch.setattr(writer, "sha256", failing)  # after the tensors are written
    with pytest.raises(type(failure) if isinstance(failure, Exception) else failure):
        run(made, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_force_keeps_the_old_directory_until_the_new_one_is_whole(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("old")

    def fail(temporary):
        (temporary / "new").write_text("new")
        raise RuntimeError("a test")

    with pytest.raises(RuntimeError, match="a test"), new_directory(out, force=True) as temporary:
        fail(temporary)
    assert [path.name for path in out.iterdir()] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
