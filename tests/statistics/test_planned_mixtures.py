"""`--plan` of mixtures of experts: what the measurement then takes, and what Qwen3-30B-A3B would."""

import pytest
import torch
from mixtures import MIXTURES, mixture, save
from safetensors.torch import load_file
from tiny import WORDS, tiny_data

from sst_mergekit.statistics.estimate import estimate
from sst_mergekit.statistics.loading import ModelSpec, load_shapes
from sst_mergekit.statistics.planning import plan
from sst_mergekit.statistics.rows import Source
from sst_mergekit.statistics.settings import Form, Options
from sst_mergekit.statistics.speed import Speed

SPEED = Speed(4e14, 4e13)
QWEN3_30B_A3B = {
    "vocab_size": 151936,
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "num_hidden_layers": 48,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "moe_intermediate_size": 768,
    "tie_word_embeddings": False,
}


@pytest.mark.parametrize("model_type", list(MIXTURES))
def test_a_plan_is_what_is_then_measured(model_type, tmp_path):
    model = save(mixture(model_type), tmp_path / "model")
    rows = tuple((" ".join(WORDS[at : at + 9]), " ".join(WORDS[at::-1])) for at in range(20))
    data, options = tiny_data(tmp_path / "data.jsonl", rows), Options(progress=False, expert_tokens=1)
    source = Source(str(data))
    for dtype in ("float32", "bfloat16"):
        planned = plan(ModelSpec(str(model), dtype=dtype), source, options, speed=SPEED)
        manifest = estimate(ModelSpec(str(model), dtype=dtype), source, tmp_path / dtype, options)
        assert planned.layers == len(manifest.layers)
        assert planned.skipped == manifest.skipped
        assert planned.passes == 1
    files = (tmp_path / "float32").glob("*.safetensors")
    assert not manifest.pooled
    assert planned.disk == sum(each.nbytes for path in files for each in load_file(path).values())


def test_an_expert_is_planned_to_see_its_share_of_tokens(tmp_path):
    """With all tokens sent to all experts, the sums of a layer take so many times the operations."""
    found = {}
    for k in (1, 4):
        mixture("mixtral", num_experts_per_tok=k).config.save_pretrained(tmp_path)
        found[k] = _planned(tmp_path)
    for name in ("model.layers.0.mlp.experts.gate_up_proj[3]", "model.layers.1.mlp.experts.down_proj[0]"):
        assert found[4][name] == 4 * found[1][name]
    assert found[4]["model.layers.0.mlp.gate.weight"] == found[1]["model.layers.0.mlp.gate.weight"]


def _planned(path):
    from torch._subclasses.fake_tensor import FakeTensorMode

    from sst_mergekit.statistics.kinds.kind import Extent
    from sst_mergekit.statistics.observing import measuring
    from sst_mergekit.statistics.passes import choose
    from sst_mergekit.statistics.planning import seen, without_data
    from sst_mergekit.statistics.tokens import Sequence

    options = Options(progress=False, form=Form("token"))
    with FakeTensorMode():
        model = without_data(load_shapes(ModelSpec(str(path))))
        with measuring(model):
            chosen = choose(model, [Sequence((0,) * 64, 32)] * 4, options)
            extent = Extent(4, 128, 256, 256, 252)
            return {name: kind.work(seen(kind, extent)) for name, kind in chosen.kinds.items()}


@pytest.mark.slow
def test_qwen3_30b_a3b_is_planned(tmp_path):
    from transformers import Qwen3MoeConfig

    Qwen3MoeConfig(**QWEN3_30B_A3B, architectures=["Qwen3MoeForCausalLM"]).save_pretrained(tmp_path)
    options = Options(progress=False, form=Form(factor_rank=64))
    found = plan(ModelSpec(str(tmp_path), dtype="bfloat16"), None, options, speed=SPEED)
    assert found.weights == pytest.approx(61.1e9, rel=0.01)
    assert found.layers == 48 * (4 + 1 + 2 * 128) + 2
    assert not found.skipped
    experts = 48 * 128 * 4 * 65 * (2 * 2048 + 1536 + 768)  # two factors of either product, at rank 64
    assert experts < found.disk < 1.05 * experts
    assert found.passes == 1
    assert found.peak_memory > found.weights + experts
    assert found.model_flop == pytest.approx(4 * 3.0e9 * found.extent.positions, rel=0.3)
    assert torch.isfinite(torch.tensor(found.seconds))
