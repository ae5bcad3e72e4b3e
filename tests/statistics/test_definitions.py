"""Each statistic against its definition, computed densely in float64 on a tiny Llama and a tiny GPT-2."""

import copy
from functools import partial

import pytest
import torch
from torch.func import functional_call, grad
from torch.nn.functional import one_hot
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from sst_mergekit.core import moments
from sst_mergekit.statistics import collect as collecting
from sst_mergekit.statistics import observing
from sst_mergekit.statistics.collect import Options, collect
from sst_mergekit.statistics.kinds.kind import Axes, Form
from sst_mergekit.statistics.settings import FACTORS
from sst_mergekit.statistics.tokens import IGNORED, Sequence, pad

LENGTHS = (6, 9, 7, 8)
PROMPT = 3


def llama():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=23,
        hidden_size=8,
        intermediate_size=12,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=False,
        initializer_range=0.3,
    )
    return LlamaForCausalLM(config).eval()


def gpt2():
    """Conv1D layers, which store [d_in, d_out]."""
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=23, n_embd=8, n_layer=1, n_head=2, n_positions=16, initializer_range=0.3)
    return GPT2LMHeadModel(config).eval()


@pytest.fixture(scope="module")
def model():
    return llama()


@pytest.fixture(scope="module")
def sequences():
    generator = torch.Generator().manual_seed(1)
    return [
        Sequence(tuple(torch.randint(0, 23, (n,), generator=generator).tolist()), PROMPT) for n in LENGTHS
    ]


def options(kind, **more):
    return Options(kind, progress=False, **more)


def loss(model, parameters, sequence):
    """Summed cross-entropy of the response, written without the code under test."""
    ids = torch.tensor([sequence.ids])
    logits = functional_call(model, parameters, (ids,)).logits[0].log_softmax(-1)
    return -sum(logits[t - 1, sequence.ids[t]] for t in range(sequence.prompt_length, len(sequence.ids)))


def sequence_gradients(model, sequences):
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    return [grad(lambda p, s=s: loss(model, p, s))(parameters) for s in sequences]


def all_flows(model, layers, sequence):
    """Inputs X [T, d_in] (one-hot of ids) and output gradients D [T, d_out] of layers, float64, unpadded."""
    model, seen = copy.deepcopy(model).double(), {}

    def hook(_module, args, output, name):
        output.retain_grad()
        seen[name] = (args[0][0].detach(), output)

    for each in layers:
        module = model.get_submodule(each.name.removesuffix(".weight"))
        module.register_forward_hook(partial(hook, name=each.name))
    loss(model, dict(model.named_parameters()), sequence).backward()
    found = {}
    for each in layers:
        x, output = seen[each.name]
        x = one_hot(x, each.shape[1]).double() if each.embedding else x
        found[each.name] = (x, output.grad[0])
    return found


def twin(factors, flows, layer):
    """A and G of one layer alone by their definition, from its flows X and D of every sequence."""
    if layer.head:  # it sees what predicts the response, all at which D is not zero
        flows = [(x[PROMPT - 1 : -1], d[PROMPT - 1 : -1]) for x, d in flows]
    if factors == "reduce" and not (layer.embedding or layer.head):
        flows = [(x.mean(0, keepdim=True), d.sum(0, keepdim=True)) for x, d in flows]
    if factors == "sequence":
        gradients = torch.stack([d.T @ x for x, d in flows])
    else:
        gradients = torch.cat([torch.einsum("to,ti->toi", d, x) for x, d in flows])  # of every token
    if factors in ("sequence", "token"):
        input, output = gradients.mT @ gradients, gradients @ gradients.mT
        assert input.sum(0).trace().item() == pytest.approx(float(gradients.square().sum()))
        input, output = input.sum(0) / len(flows), output.sum(0) / len(flows)
    else:
        x, d = (torch.cat(side) for side in zip(*flows, strict=True))
        input, output = x.T @ x / len(x), d.T @ d / len(flows)
    return {
        "input": input.diagonal() if layer.embedding else input,
        "output": output.diagonal() if layer.head else output,
    }


@pytest.fixture(scope="module", params=[llama, gpt2])
def known(request, sequences):
    """A model, its layers, and each one's flows of every sequence."""
    model = request.param()
    layers = collect(model, sequences, options("activation")).layers
    of_sequences = [all_flows(model, layers, sequence) for sequence in sequences]
    return model, {each: [flows[each.name] for flows in of_sequences] for each in layers}


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("factors", FACTORS)
def test_kronecker_factors_are_those_of_their_form(known, sequences, factors, batch_size, monkeypatch):
    monkeypatch.setattr(moments, "ROWS", 4)
    model, flows = known
    ordered = sequences if batch_size == 1 else sequences[::-1]
    collected = collect(model, ordered, options("kronecker", form=Form(factors), batch_size=batch_size))
    means, owner = collected.means, collected.input_owner
    assert set(means) == {each.name for each in flows}
    twins = {each.name: twin(factors, of_sequences, each) for each, of_sequences in flows.items()}
    for own, each in twins.items():
        readers = [twins[name]["input"] for name in twins if owner[name] == owner[own]]
        expected = dict(each)
        if factors in ("sequence", "token"):
            expected["input"] = sum(readers)
            expected["output"] = each["output"] / trace(expected["input"])
        for name, value in expected.items():
            found = means[owner[own] if name == "input" else own][name].double()
            tiny = 1e-5 * float(value.abs().max())
            torch.testing.assert_close(found, value, rtol=1e-4, atol=tiny, msg=f"{own} {name}")


def trace(factor):
    return float(factor.sum() if factor.ndim == 1 else factor.trace())


def test_the_trace_is_that_of_the_whole_fisher_matrix(model, sequences):
    collected = collect(model, sequences, options("kronecker", batch_size=3))
    gradients = sequence_gradients(model, sequences)
    for name, means in collected.means.items():
        expected = sum(float(g[name].square().sum()) for g in gradients) / len(gradients)
        input = collected.means[collected.input_owner[name]]["input"]
        assert trace(input) * trace(means["output"]) == pytest.approx(expected, rel=1e-4)


def test_one_sequences_gradient_of_rank_one_is_kept_whole(model):
    """Of one response token the head's F is ``(d dᵀ) (x) (x xᵀ)``, which is a Kronecker product itself."""
    sequence = [Sequence((3, 5, 7, 11), 3)]
    means = collect(model, sequence, options("kronecker")).means["lm_head.weight"]
    gradient = sequence_gradients(model, sequence)[0]["lm_head.weight"]
    fisher = torch.outer(means["output"], means["input"].diagonal())
    torch.testing.assert_close(fisher, gradient.square(), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_activation_is_a_mean_over_positions_after_the_first(known, sequences, batch_size):
    model, flows = known
    collected = collect(model, sequences, options("activation", batch_size=batch_size))
    for each, of_sequences in flows.items():
        used = slice(PROMPT - 1, -1) if each.head else slice(1, None)
        x = torch.cat([x[used] for x, _ in of_sequences])
        expected = x.T @ x / len(x)
        expected = expected.diagonal() if each.embedding else expected
        found = collected.means[collected.input_owner[each.name]]
        assert "output" not in found
        torch.testing.assert_close(found["input"].double(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["activation", "kronecker"])
def test_layers_that_read_the_same_input_share_its_factor(model, sequences, kind):
    collected = collect(model, sequences, options(kind))
    owner = collected.input_owner
    for layer in (0, 1):
        attention, mlp = f"model.layers.{layer}.self_attn", f"model.layers.{layer}.mlp"
        assert {owner[f"{attention}.{n}_proj.weight"] for n in "qkv"} == {f"{attention}.q_proj.weight"}
        assert owner[f"{mlp}.up_proj.weight"] == owner[f"{mlp}.gate_proj.weight"] == f"{mlp}.gate_proj.weight"
        assert owner[f"{mlp}.down_proj.weight"] == f"{mlp}.down_proj.weight"
    assert {name for name, means in collected.means.items() if "input" in means} == set(owner.values())


LINEAR = ["model.layers.0.self_attn.k_proj.weight", "model.layers.1.mlp.down_proj.weight"]


@pytest.mark.parametrize("batch_size", [1, 3, 4])
def test_diagonal_is_the_mean_squared_gradient_of_sequences(model, sequences, batch_size):
    collected = collect(model, sequences, options("diagonal", batch_size=batch_size))
    gradients = sequence_gradients(model, sequences)
    for layer in collected.layers:
        expected = torch.stack([g[layer.name] ** 2 for g in gradients]).mean(0)
        measured = collected.means[layer.name]["diagonal"]
        measured = measured.T if layer.transposed else measured
        torch.testing.assert_close(measured, expected, rtol=1e-4, atol=1e-7)


def test_sampled_labels_estimate_the_true_fisher_of_the_head(model):
    """E[(p - y)^2] = p (1 - p) for y drawn from the model's own p; G has the trace 1."""
    sequence = Sequence((3, 5, 7, 11), 3)
    many = [sequence] * 4000
    with torch.no_grad():
        p = model(torch.tensor([sequence.ids])).logits[0, 2].softmax(-1)
    measured = collect(model, many, options("kronecker", labels="sampled", batch_size=500, seed=3)).means
    error = (measured["lm_head.weight"]["output"] - p * (1 - p) / (p * (1 - p)).sum()).abs().max()
    assert error < 0.02  # the standard error is at most 0.25 / sqrt(4000) = 0.004


def test_the_model_is_left_as_it_was(model, sequences):
    model.train()
    model.zero_grad()
    model.lm_head.weight.requires_grad_(False)
    before = {n: p.clone() for n, p in model.named_parameters()}
    collect(model, sequences, options("kronecker"))
    assert model.training
    assert not model.lm_head.weight.requires_grad
    assert model.model.embed_tokens.weight.requires_grad
    assert all(torch.equal(p, before[n]) and p.grad is None for n, p in model.named_parameters())
    model.lm_head.weight.requires_grad_(True)
    model.eval()


def test_gradient_checkpointing_changes_nothing(model, sequences):
    plain = collect(model, sequences, options("kronecker")).means
    for module in model.modules():  # as gradient_checkpointing_enable() does, under any release's name
        if hasattr(module, "gradient_checkpointing"):
            module.gradient_checkpointing = True
            module._gradient_checkpointing_func = torch.utils.checkpoint.checkpoint
    model.train()
    try:
        checkpointed = collect(model, sequences, options("kronecker")).means
        assert any(getattr(m, "gradient_checkpointing", False) for m in model.modules())
    finally:
        for module in model.modules():
            if hasattr(module, "gradient_checkpointing"):
                module.gradient_checkpointing = False
        model.eval()
    for name, statistics in plain.items():
        for statistic, tensor in statistics.items():
            torch.testing.assert_close(checkpointed[name][statistic], tensor)


def test_tied_weights_are_left_out_with_the_reason(sequences):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=23, hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2
    )
    config.tie_word_embeddings = True
    collected = collect(LlamaForCausalLM(config), sequences, options("kronecker"))
    assert "tied" in collected.skipped["model.embed_tokens.weight"]
    assert "tied" in collected.skipped["lm_head.weight"]
    assert len(collected.layers) == 7


def test_out_of_memory_halves_the_batch_and_counts_nothing_twice(model, sequences, monkeypatch):
    calls = []
    real = observing.summed_loss

    def failing(logits, labels):
        calls.append(len(labels))
        if len(labels) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory (a test)")
        return real(logits, labels)

    monkeypatch.setattr(observing, "summed_loss", failing)
    collected = collect(model, sequences, options("kronecker", batch_size=4))
    assert calls == [4, 2, 1, 1, 1, 1]
    assert collected.batch_size == 1
    monkeypatch.undo()
    expected = collect(model, sequences, options("kronecker", batch_size=1)).means
    torch.testing.assert_close(collected.means["lm_head.weight"], expected["lm_head.weight"])


def test_out_of_memory_with_one_sequence_says_what_to_do(model, sequences, monkeypatch):
    def failing(logits, labels):
        raise torch.OutOfMemoryError("CUDA out of memory (a test)")

    monkeypatch.setattr(observing, "summed_loss", failing)
    with pytest.raises(collecting.StatisticsError, match="lower --max-length"):
        collect(model, sequences, options("kronecker", batch_size=2))


def test_other_failures_are_not_taken_for_memory(model, sequences, monkeypatch):
    def failing(logits, labels):
        raise RuntimeError("shapes do not match (a test)")

    monkeypatch.setattr(observing, "summed_loss", failing)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        collect(model, sequences, options("kronecker", batch_size=2))


def test_a_statistic_that_is_not_finite_is_an_error(sequences):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=23, hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2
    )
    broken = LlamaForCausalLM(config)
    broken.model.layers[0].mlp.up_proj.weight.data[0, 0] = float("inf")
    with pytest.raises(collecting.StatisticsError, match="is not finite"):
        collect(broken, sequences, options("kronecker"))


def test_padding_predicts_nothing():
    batch = pad([Sequence((1, 2, 3, 4, 5), 2), Sequence((6, 7, 8), 2)], "cpu")
    assert batch.labels.tolist() == [
        [IGNORED, 3, 4, 5, IGNORED],
        [IGNORED, 8, IGNORED, IGNORED, IGNORED],
    ]
    assert batch.attention.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]


def axes(width=3):
    """Random coordinates of two layers."""
    generator = torch.Generator().manual_seed(4)
    shapes = {LINEAR[0]: (4, 8), LINEAR[1]: (8, 12)}
    return {
        name: Axes(*(torch.randn(n, width, generator=generator) for n in shape))
        for name, shape in shapes.items()
    }


@pytest.mark.parametrize("batch_size", [1, 3])
def test_scores_are_each_sequences_gradient_in_coordinates(model, sequences, batch_size):
    form = Form(axes=axes())
    collected = collect(model, sequences, options("subspace", batch_size=batch_size, form=form))
    gradients = sequence_gradients(model, sequences)
    assert set(collected.means) == set(LINEAR)
    for name, coordinates in axes().items():
        expected = [(coordinates.left.T @ g[name] @ coordinates.right).flatten() for g in gradients]
        expected = torch.stack(expected) / len(expected) ** 0.5
        found = collected.means[name]
        scores = found["scores"][found["scores"][:, 0].argsort()]  # in the order that batches have them
        torch.testing.assert_close(scores, expected[expected[:, 0].argsort()], rtol=1e-4, atol=1e-6)
        assert torch.equal(found["left"], coordinates.left)
    assert "no coordinates" in collected.skipped["lm_head.weight"]
