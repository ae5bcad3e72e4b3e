"""Prices of patches against measured divergences, and the divergence against one written out plainly."""

import copy

import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from torch.func import functional_call, jacrev
from torch.nn.functional import kl_div
from trained import Trained, trained
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from sst_mergekit.core.filtering import filter_patch
from sst_mergekit.core.geometries import GEOMETRIES
from sst_mergekit.core.geometry import trace
from sst_mergekit.core.settings import FilterSettings
from sst_mergekit.errors import StatisticsError
from sst_mergekit.inspection import truth
from sst_mergekit.inspection.truth import Divergence, Pair, Probe, agreement, patched, price
from sst_mergekit.statistics.collect import collect
from sst_mergekit.statistics.layers import linear_layers
from sst_mergekit.statistics.settings import Options
from sst_mergekit.statistics.tokens import Sequence

DOWN, EMBEDDING = "model.layers.0.mlp.down_proj.weight", "model.embed_tokens.weight"
BOUND = 0.85  # of the rank correlation of Kronecker prices with divergences


@pytest.fixture
def model():
    torch.manual_seed(0)
    sizes = {"hidden_size": 6, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    return LlamaForCausalLM(LlamaConfig(vocab_size=11, initializer_range=0.4, **sizes)).double().eval()


@pytest.fixture(scope="module")
def sequences():
    generator = torch.Generator().manual_seed(1)
    return [
        Sequence(tuple(torch.randint(0, 11, (n,), generator=generator).tolist()), 3) for n in (5, 8, 6, 7)
    ]


def patch(model, size, names=(DOWN, EMBEDDING), seed=2):
    """A random change of some layers, [d_out, d_in] of each."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {layer.name: layer.shape for layer in linear_layers(model)[0]}
    return {
        name: size * torch.randn(shapes[name], generator=generator, dtype=torch.float64) for name in names
    }


def logits(model, parameters, sequence):
    return functional_call(model, parameters, (torch.tensor([sequence.ids]),)).logits[0, 2:-1]


def naive(model, sequences, change):
    """The divergence in nats a sequence, one sequence at a time; embeddings are stored turned."""
    before = {name: p.detach() for name, p in model.named_parameters()}
    after = {name: p + (change[name] if name == DOWN else change[name].T) for name, p in before.items()
             if name in change}  # fmt: skip
    total = 0.0
    for each in sequences:
        ours, theirs = (logits(model, p, each).log_softmax(-1) for p in (before, before | after))
        total += float(kl_div(theirs, ours, reduction="sum", log_target=True))
    return total / len(sequences)


@pytest.mark.parametrize("size", [1, 3])
def test_the_divergence_is_that_of_a_plain_sum(model, sequences, size):
    change = patch(model, 0.3)
    found = Divergence(model, sequences, size)(change)
    assert found > 0.01
    assert found == pytest.approx(naive(model, sequences, change), rel=1e-12)


def test_the_zero_patch_diverges_by_nothing(model, sequences):
    zero = {name: torch.zeros_like(change) for name, change in patch(model, 1).items()}
    assert Divergence(model.float(), sequences)(zero) == 0
    assert Divergence(model.float(), sequences).of(model) == 0


def test_a_tiny_divergence_is_not_lost_in_float32(model, sequences):
    change = patch(model, 1e-4)
    expected = naive(model, sequences, change)
    assert Divergence(copy.deepcopy(model).float(), sequences)(change) == pytest.approx(expected, rel=0.05)


def bits(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_the_same_bits_come_back(model, sequences):
    model.float()
    before = bits(model)
    Divergence(model, sequences)(patch(model, 0.3))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.state_dict().keys() == before.keys()


def test_the_same_bits_come_back_after_an_error(model):
    model.float()
    before = bits(model)
    with pytest.raises(RuntimeError, match="meanwhile"), patched(model, patch(model, 0.3)):
        raise RuntimeError("meanwhile")
    unknown = patch(model, 0.3) | {"model.norm.weight": torch.ones(6, 1)}
    text = r"model.norm.weight: no linear layer of \[6, 1\] in the model"
    with pytest.raises(StatisticsError, match=text), patched(model, unknown):
        raise AssertionError
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_square_weight_that_is_stored_turned_is_turned():
    """Conv1D stores [d_in, d_out], which a square shape does not tell."""
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=11, n_embd=8, n_layer=1, n_head=2, n_positions=16)
    gpt2, name = GPT2LMHeadModel(config).eval(), "transformer.h.0.attn.c_proj.weight"
    change = torch.randn(8, 8)
    before = gpt2.get_parameter(name).clone()
    for known_as in (name, name.removeprefix("transformer.")):  # checkpoints leave out the container
        with patched(gpt2, {known_as: change}):
            assert torch.equal(gpt2.get_parameter(name), before + change.T)


def test_an_adapter_is_left_where_it_is(model, sequences):
    from peft import LoraConfig, get_peft_model

    change = patch(model, 0.3)
    config = LoraConfig(r=2, target_modules=["down_proj"], init_lora_weights=False)
    folded = copy.deepcopy(model)
    adapted = get_peft_model(model, config).eval()
    inner = adapted.base_model.model.model.layers[0].mlp.down_proj
    folded.get_parameter(DOWN).data.add_(inner.get_delta_weight("default"))
    expected = Divergence(folded, sequences)(change)
    assert Divergence(adapted, sequences)(change) == pytest.approx(expected, rel=1e-9)


def exact(model, sequences):
    """The exact Fisher of one layer: each label's gradient at each position, as scores in complete axes."""
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    scores = []
    for each in sequences:

        def of_layer(weight, each=each):
            return logits(model, parameters | {DOWN: weight}, each).log_softmax(-1)

        chances = of_layer(parameters[DOWN]).exp().flatten()
        scores.append(jacrev(of_layer)(parameters[DOWN]).flatten(0, 1).flatten(1) * chances[:, None].sqrt())
    d_out, d_in = parameters[DOWN].shape
    return {
        "left": torch.eye(d_out).double(),
        "right": torch.eye(d_in).double(),
        "scores": torch.cat(scores) / len(sequences) ** 0.5,
    }


def test_the_price_by_the_exact_fisher_is_the_divergence_to_second_order(model, sequences):
    statistics, divergence = {DOWN: exact(model, sequences)}, Divergence(model, sequences)
    off = []
    for size in (1e-1, 1e-2, 1e-3):
        change = patch(model, size, (DOWN,))
        off.append(abs(divergence(change) / price(GEOMETRIES["subspace"], statistics, change) - 1))
    assert off[2] < 1e-3
    assert off[0] > 5 * off[1] > 25 * off[2]  # linear in the size


def test_prices_add_over_layers(model):
    generator = torch.Generator().manual_seed(0)
    change = patch(model, 1.0)
    statistics = {name: {"diagonal": torch.rand(c.shape, generator=generator)} for name, c in change.items()}
    expected = sum(float((statistics[name]["diagonal"] * c**2).sum()) for name, c in change.items()) / 2
    assert price(GEOMETRIES["diagonal"], statistics, change) == pytest.approx(expected, rel=1e-6)


def test_agreement_is_scipys():
    foretold, measured = [0.1, 3.0, 20.0, 0.7, 5.0], [0.3, 2.0, 90.0, 0.2, 30.0]
    probes = [Probe("p", *pair) for pair in zip(foretold, measured, strict=True)]
    found = agreement([*probes, Probe("nothing", 0.0, 1.0), Probe("no change", 1.0, 0.0)])
    logs = torch.tensor([foretold, measured], dtype=torch.float64).log()
    assert found.spearman == pytest.approx(spearmanr(foretold, measured).statistic)
    assert found.pearson == pytest.approx(pearsonr(*logs.numpy()).statistic)
    assert found.bias == pytest.approx(float((logs[1] - logs[0]).mean()))
    assert found.n == 5


def test_agreement_needs_three():
    with pytest.raises(ValueError, match="2 patches with a price and a divergence above 0; expected"):
        agreement([Probe("a", 1.0, 1.0), Probe("b", 2.0, 1.0), Probe("c", 0.0, 1.0)])


def test_plain_patches_are_the_whole_its_layers_and_random_ones_of_their_norms(model):
    whole = patch(model, 1.0)
    found = dict(truth.plain(whole))
    assert len(found) == 2 * len(truth.SIZES) + 2 * len(whole)
    assert truth.norm(found["whole × 0.5"]) == pytest.approx(truth.norm(whole) / 2)
    assert truth.norm(found["random × 0.5"]) == pytest.approx(truth.norm(whole) / 2)
    assert list(found[f"{DOWN} random"]) == [DOWN]
    assert found[f"{DOWN} random"][DOWN].norm() == pytest.approx(float(2 * whole[DOWN].norm()))
    assert torch.equal(found[f"{DOWN} alone"][DOWN], 2 * whole[DOWN])
    assert len(dict(truth.plain(whole, most=1))) == 2 * len(truth.SIZES) + 2


@pytest.fixture(scope="module")
def world() -> Trained:
    return trained()


def measured(world, kind):
    """Statistics of both sides of the small world."""
    sides = []
    for each, rows in ((world.safety, world.harm), (world.utility, world.measured)):
        found = collect(each, rows, Options(kind, batch_size=64, progress=False))
        sides.append({name: found.of(name) for name in world.patch})
    return Pair(GEOMETRIES[kind], *sides)


@pytest.fixture(scope="module")
def pairs(world):
    return {kind: measured(world, kind) for kind in ("kronecker", "diagonal")}


def test_filtered_patches_are_the_filters_at_the_norms_asked(world, pairs):
    found = dict(truth.filtered(world.patch, pairs))
    assert len(found) == 2 * 2 * 3 * 2  # statistics, filters, costs, norms
    size = truth.norm(world.patch)
    assert truth.norm(found["diagonal, shuffled, cost 0.3 × 0.5"]) == pytest.approx(size / 2)
    one = {"kronecker": pairs["kronecker"]}
    (_, kept), (_, lost) = (
        next(iter(truth.filtered(world.patch, one, ("separable",), (0.3,), (1.0,), harm))) for harm in (0, 1)
    )
    name, pair = next(iter(world.patch)), pairs["kronecker"]
    geometry = pair.geometry
    traces = [
        {
            each: trace("input", statistics["input"]) * trace("output", statistics["output"])
            for each, statistics in side.items()
        }
        for side in (pair.harm, pair.benign)
    ]
    kappa = traces[0][name] / sum(traces[0].values()) / (traces[1][name] / sum(traces[1].values()))
    sides = pair.harm[name], pair.benign[name]
    expected = filter_patch(geometry, world.patch[name], *sides, kappa, FilterSettings(cost=0.3))
    for found, wanted in ((kept, expected), (lost, expected - world.patch[name])):
        torch.testing.assert_close(found[name] / found[name].norm(), wanted / wanted.norm())


def test_a_filter_that_takes_all_away_leaves_the_base(world):
    """The safety expert without its whole patch is the utility expert here, which is its base."""
    away = truth.taken_away(world.patch, {})
    with patched(world.safety, away):
        for name in world.patch:
            torch.testing.assert_close(world.safety.get_parameter(name), world.utility.get_parameter(name))


def judged(pair, side, patches, divergences):
    return agreement(
        Probe(name, price(pair.geometry, side, change), found)
        for (name, change), found in zip(patches, divergences, strict=True)
    )


def shuffled(side, seed):
    """The same factors with their rows and columns in another order: the spectra stay, directions go."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, statistics in side.items():
        orders = {key: torch.randperm(len(each), generator=generator) for key, each in statistics.items()}
        found[name] = {key: each[orders[key]][:, orders[key]] for key, each in statistics.items()}
    return found


def test_kronecker_prices_order_patches_as_divergences_do(world, pairs):
    """On held-out rows, on both sides; and statistics with their directions shuffled do worse."""
    pair = pairs["kronecker"]
    benign = [*truth.plain(world.patch), *truth.filtered(world.patch, pairs)]
    harm = [(name, truth.scaled(change, -1)) for name, change in truth.plain(world.patch)]
    harm += truth.filtered(world.patch, pairs, harm=True)
    sides = (
        (world.utility, world.held_out, pair.benign, benign),
        (world.safety, world.harm_held_out, pair.harm, harm),
    )
    for model, rows, side, patches in sides:
        assert len(patches) >= 60
        divergence = Divergence(model, rows, 96)
        divergences = [divergence(change) for _, change in patches]
        real = judged(pair, side, patches, divergences)
        assert real.n == len(patches)
        assert real.spearman > BOUND
        others = [judged(pair, shuffled(side, seed), patches, divergences).spearman for seed in range(5)]
        assert real.spearman > max(others) + 0.01
