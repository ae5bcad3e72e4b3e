"""`sst-mergekit fisher --plan` foretells what the measurement then does: passes, batch, bytes, operations."""

import json

import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from tiny import tiny_adapter, tiny_data, tiny_llama
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from sst_mergekit.cli import main
from sst_mergekit.errors import StatisticsError
from sst_mergekit.statistics import collect as collecting
from sst_mergekit.statistics import memory
from sst_mergekit.statistics.estimate import estimate
from sst_mergekit.statistics.loading import ModelSpec, load_model, load_shapes
from sst_mergekit.statistics.observing import measuring
from sst_mergekit.statistics.planning import plan, without_data
from sst_mergekit.statistics.rows import Source
from sst_mergekit.statistics.settings import FACTORS, Form, Options
from sst_mergekit.statistics.speed import OF_THE_CPU, Speed
from sst_mergekit.statistics.tokens import Sequence, batches

ROWS = tuple((" ".join(["w1"] * n), " ".join(["w2"] * (2 * n))) for n in (3, 9, 5, 4, 7))
SPEED = Speed(2e12, 1e12)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planning")
    base = tiny_llama(folder / "base", 0, hidden_size=64, intermediate_size=96)
    tiny_adapter(folder / "adapter", base, 1)
    tiny_data(folder / "data.jsonl", ROWS)
    bare = folder / "bare"  # what is left where only the config is there
    bare.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (bare / name).write_bytes((base / name).read_bytes())
    return folder


def both(world, out, monkeypatch, options, share=None, adapter=None, **more):
    """Return the plan, made without weights, and the manifest of the run.

    `share`: both are bound to the model and so much of what is taken beside it without a bound.
    """
    monkeypatch.setattr(memory, "FIXED", 0)
    adapter = str(world / adapter) if adapter else None
    specs = [ModelSpec(str(world / name), adapter) for name in ("bare", "base")]
    source = Source(str(world / "data.jsonl"))
    monkeypatch.setattr(memory, "in_use", lambda _device: 0)
    planned = plan(specs[0], source, options, speed=SPEED, **more)
    if share is not None:
        bound = planned.weights + int(share * (planned.peak_memory - planned.weights))
        options = Options(**(options.__dict__ | {"max_memory": bound}))
        planned = plan(specs[0], source, options, speed=SPEED, **more)
    weights = memory.weights(load_model(specs[1]))
    monkeypatch.setattr(memory, "in_use", lambda _device: weights)
    return planned, estimate(specs[1], source, out, options, **more)


@pytest.mark.parametrize(
    ("kind", "share", "size", "passes"),
    [
        ("kronecker", None, 4, 1),
        ("kronecker", 0.7, 2, 1),
        ("kronecker", 0.3, 1, None),
        ("diagonal", 0.3, 1, None),
    ],
)
def test_plan_and_run_part_the_layers_alike(world, tmp_path, monkeypatch, kind, share, size, passes):
    options = Options(kind, batch_size=4, progress=False)
    planned, manifest = both(world, tmp_path / "out", monkeypatch, options, share)
    assert (planned.passes, planned.batch_size) == (manifest.run["passes"], manifest.run["batch_size"])
    assert planned.batch_size == size
    assert planned.passes == passes or (passes is None and planned.passes > 1)
    assert planned.layers == len(manifest.layers) == sum(planned.layers_a_pass)
    assert planned.skipped == manifest.skipped
    assert (planned.extent.sequences, planned.extent.tokens) == (5, manifest.data["tokens"])
    assert planned.max_memory is None or planned.peak_memory <= planned.max_memory


@pytest.mark.parametrize("kind", ["kronecker", "activation", "diagonal"])
@pytest.mark.parametrize("more", [{}, {"store_dtype": "bfloat16"}], ids=["float32", "bfloat16"])
def test_the_disk_is_foretold_to_the_byte(world, tmp_path, monkeypatch, kind, more):
    options = Options(kind, progress=False)
    planned, _ = both(world, tmp_path / "out", monkeypatch, options, adapter="adapter", **more)
    written = 0
    for path in (tmp_path / "out").glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            written += sum(file.get_tensor(name).nbytes for name in file.keys())  # noqa: SIM118
    assert planned.disk == written


@pytest.mark.parametrize(
    ("kind", "form"),
    [("kronecker", Form(factors)) for factors in FACTORS] + [("activation", Form()), ("diagonal", Form())],
)
def test_the_operations_are_those_that_torch_counts(world, tmp_path, monkeypatch, kind, form):
    options = Options(kind, form, batch_size=5, progress=False)
    in_place = {torch.ops.aten.addmm_: lambda _to, a, b, **_: 2 * a[0] * a[1] * b[1]}  # torch leaves it out
    counter = FlopCounterMode(display=False, custom_mapping=OF_THE_CPU | in_place)
    real = collecting._pass

    def counted(*words):
        with counter:
            real(*words)

    monkeypatch.setattr(collecting, "_pass", counted)
    planned, _ = both(world, tmp_path / "out", monkeypatch, options)
    assert planned.model_flop + planned.sums_flop == pytest.approx(counter.get_total_flops(), rel=0.02)
    assert planned.seconds == pytest.approx(planned.model_flop / 2e12 + planned.sums_flop / 1e12)


def test_a_batch_without_data_takes_the_bytes_of_a_real_one(world):
    def taken(model):
        with measuring(model):
            batch = next(batches([Sequence((1,) * n, 2) for n in (20, 30)], 2, "cpu"))
            return memory.batch_bytes(model, batch, {"head": model.lm_head})

    real = taken(load_model(ModelSpec(str(world / "base"))))
    with FakeTensorMode():
        assert taken(without_data(load_shapes(ModelSpec(str(world / "bare"))))) == real


def test_kinds_in_coordinates_take_them_as_given(world):
    options = Options("subspace", progress=False)
    found = plan(ModelSpec(str(world / "bare")), None, options, 4, 16, patch_rank=3, speed=SPEED)
    assert found.layers == 14  # all but embedding and head
    assert len(found.skipped) == 2
    assert found.disk >= 4 * 14 * (4 * 9 + 9)


def test_the_command_plans_without_weights_and_data(world):
    words = ["fisher", "--plan", "--model", str(world / "bare"), "--device", "cpu", "--max-length", "32"]
    result = CliRunner().invoke(main, [*words, "--samples", "10", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    extent = {"sequences": 10, "tokens": 160, "used": 320, "positions": 320, "reached": 310}
    assert told["extent"] == extent
    assert (told["passes"], told["steps"], told["batch_size"]) == (1, 2, 8)
    assert told["speed"]["where"] == "measured"
    assert told["step_seconds"] == pytest.approx(told["seconds"] / 2)
    assert told["seconds"] > 0
    stated = CliRunner().invoke(main, [*words, "--tflops", "2", "1", "--device", "cuda"])
    assert "at 2 and 1 TFLOP/s (stated)" in stated.output
    assert "kronecker statistics of 16 layers" in stated.output


def test_data_and_out_are_needed_where_it_is_no_plan(world):
    words = ["fisher", "--model", str(world / "base")]
    assert "Missing option '--data'" in CliRunner().invoke(main, words).output
    words += ["--data", str(world / "data.jsonl")]
    assert "Missing option '--out'" in CliRunner().invoke(main, words).output


def test_a_model_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "none such"}')
    with pytest.raises(StatisticsError, match="its config gives no model"):
        plan(ModelSpec(str(tmp_path)), None, Options(), speed=SPEED)


def test_too_little_memory_is_said_by_the_plan_too(world):
    with pytest.raises(StatisticsError, match="1 B: the widest layer needs about .*--factor-rank"):
        plan(ModelSpec(str(world / "bare")), None, Options(max_memory=1), 2, 8, speed=SPEED)


def test_measured_speed_is_a_speed():
    from sst_mergekit.statistics.speed import measured

    found = measured("float32", "cpu")
    assert torch.isfinite(torch.tensor([found.model, found.sums])).all()
    assert found.sums > 1e8
