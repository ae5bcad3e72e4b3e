"""Statistics of each expert and of routers against their definition: gradients of sequences, float64."""

import copy

import pytest
import torch
from mixtures import MIXTURES, SIZES, mixture
from transformers import AutoConfig, AutoModelForCausalLM

from sst_mergekit.core.geometry import trace
from sst_mergekit.core.truncated import is_truncated
from sst_mergekit.statistics.collect import Options, collect
from sst_mergekit.statistics.kinds.activation import Activation
from sst_mergekit.statistics.kinds.diagonal import Diagonal
from sst_mergekit.statistics.kinds.kronecker import Kronecker
from sst_mergekit.statistics.layers import linear_layers
from sst_mergekit.statistics.moe import experts_of, routers_of
from sst_mergekit.statistics.observing import measuring
from sst_mergekit.statistics.settings import FACTORS, Form
from sst_mergekit.statistics.team import Team
from sst_mergekit.statistics.tokens import Sequence

PROMPT = 3


@pytest.fixture(scope="module")
def sequences():
    generator = torch.Generator().manual_seed(1)
    drawn = [torch.randint(4, 32, (length,), generator=generator).tolist() for length in (6, 9, 7, 8)]
    return [Sequence(tuple(ids), PROMPT) for ids in drawn]


@pytest.fixture(scope="module", params=list(MIXTURES))
def model(request):
    return mixture(request.param)


@pytest.fixture(scope="module")
def gradients(model, sequences):
    """Weight or slice -> its gradient [d_out, d_in] on every sequence, float64, by transformers' own loop."""
    twin = copy.deepcopy(model).double()
    twin.set_experts_implementation("eager")
    wanted = {
        name: (weight, False)
        for name, weight in twin.named_parameters()
        if weight.ndim == 2 and ".layers." in name and not name.endswith("_bias")
    }
    assert {f"{path}.weight" for path, _ in routers_of(twin)} <= wanted.keys()
    for experts in experts_of(twin):
        for name in (experts.first, "down_proj"):
            wanted[f"{experts.path}.{name}"] = (getattr(experts.module, name), experts.transposed)
    found: dict = {}
    for sequence in sequences:
        logits = twin(torch.tensor([sequence.ids])).logits[0].log_softmax(-1)
        loss = -sum(logits[t - 1, sequence.ids[t]] for t in range(PROMPT, len(sequence.ids)))
        grads = torch.autograd.grad(loss, [weight for weight, _ in wanted.values()])
        for (name, (_, transposed)), each in zip(wanted.items(), grads, strict=True):
            for number, part in enumerate(each if each.ndim == 3 else [each]):
                key = f"{name}[{number}]" if each.ndim == 3 else name
                found.setdefault(key, []).append(part.T if transposed else part)
    return {name: torch.stack(each) for name, each in found.items()}


def marginals(gradients, *readers):
    """A and G by their definition, of gradients [n, d_out, d_in]; A is the sum of all that read its input."""
    first = sum((each.mT @ each).mean(0) for each in readers or (gradients,))
    return {"input": first, "output": (gradients @ gradients.mT).mean(0) / first.trace()}


def close(found, expected, what):
    found, expected = found.detach(), expected.detach()
    tiny = 1e-5 * float(expected.abs().max())
    torch.testing.assert_close(found.double(), expected.double(), rtol=1e-4, atol=tiny, msg=what)


def measure(model, sequences, kind="kronecker", tokens=1, **more):
    return collect(model, sequences, Options(kind, progress=False, expert_tokens=tokens, **more))


@pytest.mark.parametrize("batch_size", [1, 3])
def test_factors_are_the_marginals_of_each_experts_gradients(model, sequences, gradients, batch_size):
    found = measure(model, sequences, batch_size=batch_size)
    ends = {"model.embed_tokens.weight", "lm_head.weight"}
    assert gradients.keys() == {layer.name for layer in found.layers} - ends
    assert not found.skipped or all(name.endswith("_bias") for name in found.skipped)
    for name, each in gradients.items():
        if name not in found.pooled:
            owner = found.input_owner
            readers = [gradients[other] for other in gradients if owner[other] == owner[name]]
            for slot, expected in marginals(each, *readers).items():
                close(found.of(name)[slot], expected, f"{name} {slot}")


def test_diagonals_are_the_squares_of_each_experts_gradients(model, sequences, gradients):
    found = measure(model, sequences, "diagonal", batch_size=3)
    for name, each in gradients.items():
        if name not in found.pooled:
            close(found.of(name)["diagonal"], each.square().mean(0), name)


def test_activations_are_those_of_the_tokens_that_an_expert_gets(sequences):
    model = mixture("mixtral")
    found = measure(model, sequences, "activation", batch_size=2)
    seen: dict[int, list] = {number: [] for number in range(4)}

    def hook(_module, args):
        hidden, chosen, _ = args
        for number, rows in seen.items():
            rows += [x for at, x in enumerate(hidden) if at > 0 and number in chosen[at]]

    handle = model.model.layers[1].mlp.experts.register_forward_pre_hook(hook)
    for sequence in sequences:
        model(torch.tensor([sequence.ids]))
    handle.remove()
    for number, rows in seen.items():
        expected = torch.stack(rows).mT @ torch.stack(rows) / len(rows)
        name = f"model.layers.1.mlp.experts.gate_up_proj[{number}]"
        close(found.of(name)["input"], expected, name)


@pytest.mark.parametrize("kind", [*FACTORS, "activation", "diagonal"])
def test_a_single_expert_is_a_dense_layer(sequences, kind):
    """Every form: an expert that gets every token has the statistics of its weights in a dense model."""
    one = mixture("qwen3_moe", num_experts=1, num_experts_per_tok=1, moe_intermediate_size=48)
    dense = AutoModelForCausalLM.from_config(AutoConfig.for_model("qwen3", **SIZES, head_dim=8)).eval()
    weights = one.state_dict()
    for number in range(2):
        path = f"model.layers.{number}.mlp"
        gate, up = weights.pop(f"{path}.experts.gate_up_proj")[0].chunk(2)
        weights |= {f"{path}.gate_proj.weight": gate, f"{path}.up_proj.weight": up}
        weights[f"{path}.down_proj.weight"] = weights.pop(f"{path}.experts.down_proj")[0]
        del weights[f"{path}.gate.weight"]
    dense.load_state_dict(weights)
    more = {"form": Form(kind)} if kind in FACTORS else {}
    name = "kronecker" if kind in FACTORS else kind
    mine = measure(one, sequences, name, batch_size=3, **more)
    theirs = measure(dense, sequences, name, batch_size=3, **more)
    for number in range(2):
        path = f"model.layers.{number}.mlp"
        own, other = mine.of(f"{path}.experts.down_proj[0]"), theirs.of(f"{path}.down_proj.weight")
        assert own.keys() == other.keys()
        for slot, value in own.items():
            close(value, other[slot], f"{path} {slot}")


def test_experts_of_few_tokens_take_the_mean_of_their_layers(sequences, gradients, model):
    found = measure(model, sequences, tokens=10**6)
    slices = [name for name in gradients if name.endswith("]")]
    assert set(found.pooled) == set(slices)
    assert all("fewer than 1000000" in why for why in found.pooled.values())
    for stack in {name.rpartition("[")[0] for name in slices}:
        alike = torch.stack([gradients[name] for name in slices if name.startswith(f"{stack}[")])
        for slot, expected in marginals(alike.flatten(0, 1)).items():
            close(found.of(f"{stack}[1]")[slot], expected, f"{stack} {slot}")


def test_an_expert_that_no_token_reaches_takes_the_mean(sequences):
    model = mixture("mixtral")
    with torch.no_grad():
        model.model.layers[1].mlp.gate.weight[2] = -100 * model.model.layers[1].mlp.gate.weight[:2].sum(0)
    reached = {name: why for name, why in measure(model, sequences[:1]).pooled.items() if "layers.1" in name}
    assert all(why.startswith("0 tokens that count reached it, fewer than 1") for why in reached.values())
    assert len(reached) in (2, 4)


@pytest.mark.parametrize("rank", [None, 2])
def test_passes_and_sketches_change_nothing_of_the_mean(sequences, rank, monkeypatch):
    model, form = mixture("mixtral"), Form(factor_rank=rank)
    whole = measure(model, sequences, tokens=15, form=form)
    from sst_mergekit.statistics import collect as collecting
    from sst_mergekit.statistics.passes import Passes

    names = [layer.name for layer in whole.layers]
    parts = Passes([names[:9], names[9:13], names[13:]], 4)
    monkeypatch.setattr(collecting, "part", lambda *_: parts)
    apart = measure(model, sequences, tokens=15, form=form)
    assert apart.passes == 3
    assert 0 < len(whole.pooled) < 16
    assert whole.pooled == apart.pooled
    for name in names:
        for slot, value in whole.of(name).items():
            close(apart.of(name)[slot], value, f"{name} {slot}")


def test_sketches_of_a_mean_keep_the_whole_trace(sequences):
    model, name = mixture("mixtral"), "model.layers.0.mlp.experts.down_proj[0]"
    dense, short = (measure(model, sequences, tokens=99, form=Form(factor_rank=rank)) for rank in (None, 2))
    assert is_truncated(short.of(name)["input"])
    assert trace("input", short.of(name)["input"]) == pytest.approx(
        trace("input", dense.of(name)["input"]), 1e-4
    )


def test_an_expert_that_saw_nothing_has_sums_to_add_to_other_processes():
    with measuring(model := mixture("mixtral")):
        [layer] = [
            each for each in linear_layers(model)[0] if each.name.endswith("0.mlp.experts.down_proj[3]")
        ]
        kinds = [
            Kronecker(layer, None, Form()),
            Activation(layer, None, Form()),
            Diagonal(layer, None, Form()),
        ]
    for kind in kinds:
        kind.join(Team())
        assert kind.sums
        assert not any(each.any() for each in kind.sums.values())
        assert kind.tokens == kind.felt == 0


def test_the_model_answers_as_before_and_is_left_as_it_was(model, sequences):
    ids = torch.tensor([sequences[0].ids])
    before, chosen = model(ids).logits, model.config._experts_implementation
    with measuring(model):
        torch.testing.assert_close(model(ids).logits, before, rtol=1e-4, atol=1e-5)
    assert model.config._experts_implementation == chosen
    assert torch.equal(model(ids).logits, before)


def test_kinds_in_coordinates_leave_experts_out_by_name(sequences):
    model = mixture("qwen3_moe")
    found = measure(model, sequences, "subspace", form=Form(axes={}))
    why = found.skipped["model.layers.0.mlp.experts.gate_up_proj"]
    assert why == "kind subspace measures no experts: kronecker, activation, diagonal do"


class Odd(torch.nn.Module):
    """Experts that nothing understands."""

    def __init__(self):
        super().__init__()
        self.stack = torch.nn.Parameter(torch.zeros(4, 8, 8))


def test_what_is_not_understood_is_named():
    model = mixture("qwen3_moe")
    model.model.layers[0].mlp.odd = Odd()
    _, skipped = linear_layers(model)
    assert skipped == {"model.layers.0.mlp.odd.stack": "of Odd, not a linear layer that is understood"}
