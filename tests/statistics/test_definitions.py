"""Each statistic against its definition, computed densely with torch.func on a tiny Llama."""

import pytest
import torch
from torch.func import functional_call, grad
from transformers import LlamaConfig, LlamaForCausalLM

from sst_mergekit.statistics import collect as collecting
from sst_mergekit.statistics import observing
from sst_mergekit.statistics.collect import Options, collect
from sst_mergekit.statistics.kinds.kind import Axes, Form
from sst_mergekit.statistics.tokens import IGNORED, Sequence, pad

LENGTHS = (6, 9, 7, 8)
PROMPT = 3


@pytest.fixture(scope="module")
def model():
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


def layer_flows(model, name, sequence):
    """Inputs and output gradients of one layer at the positions that predict the response."""
    module = model.get_submodule(name.removesuffix(".weight"))
    seen = {}

    def hook(_module, args, output):
        seen["x"] = args[0][0]
        output.retain_grad()
        seen["y"] = output

    handle = module.register_forward_hook(hook)
    try:
        loss(model, dict(model.named_parameters()), sequence).backward()
    finally:
        handle.remove()
    window = slice(sequence.prompt_length - 1, len(sequence.ids) - 1)
    return seen["x"][window].detach(), seen["y"].grad[0][window]


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


@pytest.mark.parametrize("batch_size", [1, 3, 4])
def test_kronecker_factors_are_means_over_response_tokens(model, sequences, batch_size):
    collected = collect(model, sequences, options("kronecker", batch_size=batch_size))
    assert collected.counts.tokens == sum(LENGTHS) - PROMPT * len(LENGTHS)
    for name in LINEAR:
        flows = [layer_flows(model, name, s) for s in sequences]
        x, g = torch.cat([f[0] for f in flows]), torch.cat([f[1] for f in flows])
        owner = collected.input_owner[name]
        torch.testing.assert_close(collected.means[owner]["input"], x.T @ x / len(x), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(collected.means[name]["output"], g.T @ g / len(g), rtol=1e-4, atol=1e-6)


def test_kronecker_head_is_diagonal_and_embedding_counts_tokens(model, sequences):
    means = collect(model, sequences, options("kronecker", batch_size=2)).means
    flows = [layer_flows(model, "lm_head.weight", s) for s in sequences]
    g = torch.cat([f[1] for f in flows])
    torch.testing.assert_close(means["lm_head.weight"]["output"], (g**2).mean(0), rtol=1e-4, atol=1e-7)
    tokens = torch.cat([torch.tensor(s.ids[PROMPT - 1 : -1]) for s in sequences])
    expected = torch.bincount(tokens, minlength=23) / len(tokens)
    torch.testing.assert_close(means["model.embed_tokens.weight"]["input"], expected)


def test_activation_is_the_input_factor_of_kronecker(model, sequences):
    forward_only = collect(model, sequences, options("activation")).means
    both = collect(model, sequences, options("kronecker")).means
    assert set(forward_only) == set(both)
    for name, statistics in forward_only.items():
        assert "output" not in statistics
        for statistic, tensor in statistics.items():
            torch.testing.assert_close(tensor, both[name][statistic])


def test_layers_that_read_the_same_input_share_its_factor(model, sequences):
    owner = collect(model, sequences, options("kronecker")).input_owner
    for layer in (0, 1):
        attention, mlp = f"model.layers.{layer}.self_attn", f"model.layers.{layer}.mlp"
        assert {owner[f"{attention}.{n}_proj.weight"] for n in "qkv"} == {f"{attention}.q_proj.weight"}
        assert owner[f"{mlp}.up_proj.weight"] == owner[f"{mlp}.gate_proj.weight"] == f"{mlp}.gate_proj.weight"
        assert owner[f"{mlp}.down_proj.weight"] == f"{mlp}.down_proj.weight"


def test_sampled_labels_estimate_the_true_fisher_of_the_head(model):
    """E[(p - y)^2] = p (1 - p) for y drawn from the model's own p."""
    sequence = Sequence((3, 5, 7, 11), 3)
    many = [sequence] * 4000
    with torch.no_grad():
        p = model(torch.tensor([sequence.ids])).logits[0, 2].softmax(-1)
    measured = collect(model, many, options("kronecker", labels="sampled", batch_size=500, seed=3)).means
    error = (measured["lm_head.weight"]["output"] - p * (1 - p)).abs().max()
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
        name: Axes(*(torch.randn(n, width, generator=generator) for n in shape), core=torch.ones(9))
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
        assert torch.equal(found["core"], torch.ones(9))
    assert "no coordinates" in collected.skipped["lm_head.weight"]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_ekfac_measures_squares_in_the_basis_and_both_factors(model, sequences, batch_size):
    form = Form(axes=axes())
    collected = collect(model, sequences, options("ekfac", batch_size=batch_size, form=form))
    factors = collect(model, sequences, options("kronecker")).means
    gradients = sequence_gradients(model, sequences)
    for name, coordinates in axes().items():
        squares = sum((coordinates.left.T @ g[name] @ coordinates.right) ** 2 for g in gradients)
        found = collected.means[name]
        expected = squares / collected.counts.tokens
        torch.testing.assert_close(found["corrected"], expected, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(found["output"], factors[name]["output"])
        assert torch.equal(found["right"], coordinates.right)
    key, query = LINEAR[0], LINEAR[0].replace("k_proj", "q_proj")
    assert collected.input_owner[key] == key  # q has no coordinates, so k keeps the input they share
    torch.testing.assert_close(collected.means[key]["input"], factors[query]["input"])


def test_reduced_factors_have_a_row_a_sequence(model, sequences):
    collected = collect(model, sequences, options("kronecker", batch_size=3, form=Form(reduced=True)))
    plain = collect(model, sequences, options("kronecker")).means
    for name in LINEAR:
        flows = [layer_flows(model, name, s) for s in sequences]
        x = torch.stack([f[0].mean(0) for f in flows])
        g = torch.stack([f[1].sum(0) for f in flows])
        owner = collected.input_owner[name]
        torch.testing.assert_close(collected.means[owner]["input"], x.T @ x / len(x), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(collected.means[name]["output"], g.T @ g / len(g), rtol=1e-4, atol=1e-6)
    for name in ("lm_head.weight", "model.embed_tokens.weight"):  # diagonal factors stay as they are
        for statistic, tensor in plain[name].items():
            torch.testing.assert_close(collected.means[name][statistic], tensor)


@pytest.mark.parametrize("keep", [False, True])
def test_centred_diagonal_is_the_variance(model, sequences, keep):
    form = Form(centred=True, gradient=keep)
    means = collect(model, sequences, options("diagonal", batch_size=3, form=form)).means
    gradients = sequence_gradients(model, sequences)
    for name in LINEAR:
        expected = torch.stack([g[name] for g in gradients]).var(0, correction=0)
        torch.testing.assert_close(means[name]["diagonal"], expected, rtol=1e-3, atol=1e-6)
        assert ("gradient" in means[name]) == keep


@pytest.mark.parametrize("kind", ["kronecker", "diagonal"])
def test_the_mean_gradient_is_in_the_unit_of_the_kind(model, sequences, kind):
    collected = collect(model, sequences, options(kind, batch_size=3, form=Form(gradient=True)))
    count = collected.counts.tokens if kind == "kronecker" else len(sequences)
    gradients = sequence_gradients(model, sequences)
    for name in LINEAR:
        expected = sum(g[name] for g in gradients) / count
        torch.testing.assert_close(collected.means[name]["gradient"], expected, rtol=1e-4, atol=1e-6)
