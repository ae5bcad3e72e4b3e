"""Statistics in coordinates, from the command to the merge: patches' own axes."""

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from tiny import tiny_adapter, tiny_data, tiny_llama, tiny_tokenizer

from sst_mergekit.adapters.deltas import deltas
from sst_mergekit.cli import main
from sst_mergekit.core.settings import FilterSettings
from sst_mergekit.errors import RecipeError
from sst_mergekit.plugin.evidence import Source
from sst_mergekit.plugin.patching import PatchFilter
from sst_mergekit.statistics.axes import patch_axes
from sst_mergekit.statistics.kinds.kind import Axes
from sst_mergekit.statistics.store import open_statistics

QUERY = "model.layers.0.self_attn.q_proj.weight"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("axes")
    base = tiny_llama(folder / "base", 0)
    tiny_llama(folder / "other", 1)
    tiny_adapter(folder / "guard", base, 1)
    tiny_data(folder / "data.jsonl")
    return folder


def fisher(world, out, *more, model="base"):
    arguments = [
        "fisher",
        "--model",
        str(world / model),
        "--data",
        str(world / "data.jsonl"),
        "--out",
        str(out),
    ]
    return CliRunner().invoke(main, [*arguments, "--device", "cpu", "--quiet", *map(str, more)])


def test_subspace_of_an_adapter_from_the_command_to_the_merge(world, tmp_path):
    patch = f"{world / 'base'}+{world / 'guard'}"
    for name, more in (("h", ("--adapter", world / "guard")), ("b", ())):
        result = fisher(world, tmp_path / name, "--kind", "subspace", "--patch", world / "base", patch, *more)
        assert result.exit_code == 0, result.output
    store = open_statistics(str(tmp_path / "h"))
    assert {name.split(".")[-2] for name in store.manifest.layers} == {"q_proj", "up_proj"}
    tensors = store.tensors(store.find(QUERY), ("scores", "left"))
    assert tensors["scores"].shape == (3, 4)  # sequences, rank squared
    changes = {name: change for name, change, _ in deltas(str(world / "base"), patch)}
    sides = Source(str(tmp_path / "h")), (Source(str(tmp_path / "b")),)
    free = PatchFilter("subspace", FilterSettings(filter="soft", cost=0.0))
    torch.testing.assert_close(
        free(QUERY, changes[QUERY], *sides).float(), changes[QUERY], atol=1e-5, rtol=1e-4
    )
    kept = PatchFilter("subspace", FilterSettings(filter="soft", cost=0.5))(QUERY, changes[QUERY], *sides)
    assert int(torch.linalg.matrix_rank(kept, rtol=1e-6)) <= 2
    assert 0 < kept.norm() < changes[QUERY].norm()


def test_changes_of_full_models_and_of_adapters(world):
    base = load_file(world / "base" / "model.safetensors")
    other = load_file(world / "other" / "model.safetensors")
    found = {
        name: (change, stored) for name, change, stored in deltas(str(world / "base"), str(world / "other"))
    }
    assert set(found) == {name for name, tensor in base.items() if tensor.ndim == 2}
    for name, (change, stored) in found.items():
        assert stored
        torch.testing.assert_close(change, other[name] - base[name])
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(world / "base")
    merged = PeftModel.from_pretrained(model, str(world / "guard")).merge_and_unload().state_dict()
    for name, change, stored in deltas(str(world / "base"), f"{world / 'base'}+{world / 'guard'}"):
        assert not stored
        torch.testing.assert_close(change, merged[name] - base[name], atol=1e-6, rtol=1e-4)


def test_an_adapter_of_another_base_is_refused(world):
    with pytest.raises(RecipeError, match="its adapter is not on"):
        list(deltas(str(world / "other"), f"{world / 'base'}+{world / 'guard'}"))
    with pytest.raises(RecipeError, match="weights cannot be read"):
        list(deltas(str(world / "base"), str(world / "nowhere")))


def test_axes_are_the_patchs_singular_directions():
    patch = torch.randn(6, 2, generator=torch.Generator().manual_seed(0)) @ torch.randn(2, 5)
    axes = patch_axes([("w", patch, False), ("zero", torch.zeros(3, 3), False)], rank=4)
    assert set(axes) == {"w"}
    found = axes["w"]
    assert (found.left.shape, found.right.shape) == ((6, 2), (5, 2))
    kept = found.left @ found.left.T @ patch @ found.right @ found.right.T
    torch.testing.assert_close(kept, patch, atol=1e-5, rtol=1e-4)
    top = patch_axes([("w", patch, False)], rank=1)["w"]
    torch.testing.assert_close(top.left.T @ top.left, torch.eye(1))
    core = float(top.left.T @ patch @ top.right)
    assert core == pytest.approx(float(torch.linalg.matrix_norm(patch, 2)), rel=1e-4)


def test_axes_of_stored_weights_are_turned_where_the_layer_is():
    axes = Axes(torch.rand(3, 2), torch.rand(4, 2), stored=True)
    assert axes.of(transposed=False) is axes
    turned = axes.of(transposed=True)
    assert torch.equal(turned.left, axes.right)
    assert torch.equal(turned.right, axes.left)


def test_transposed_weights_keep_their_patch(tmp_path):
    """GPT-2 stores [d_in, d_out]; at no cost the subspace gives the patch back."""
    from transformers import GPT2Config, GPT2LMHeadModel

    for seed, name in enumerate(("base", "expert")):
        torch.manual_seed(seed)
        config = GPT2Config(vocab_size=32, n_embd=8, n_layer=1, n_head=2, n_positions=32)
        GPT2LMHeadModel(config).save_pretrained(tmp_path / name)
        tiny_tokenizer(tmp_path / name)
    tiny_data(tmp_path / "data.jsonl")
    patch = ("--patch", tmp_path / "base", tmp_path / "expert", "--patch-rank", 32)
    for name, model in (("h", "expert"), ("b", "base")):
        result = fisher(tmp_path, tmp_path / name, "--kind", "subspace", *patch, model=model)
        assert result.exit_code == 0, result.output
    change = {name: d for name, d, _ in deltas(str(tmp_path / "base"), str(tmp_path / "expert"))}
    name = next(name for name in change if name.endswith("attn.c_attn.weight"))
    free = PatchFilter("subspace", FilterSettings(filter="soft", cost=0.0))
    kept = free(name, change[name], Source(str(tmp_path / "h")), (Source(str(tmp_path / "b")),))
    torch.testing.assert_close(kept.float(), change[name], atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (("--kind", "subspace"), "--kind subspace: measured in coordinates; give --patch BASE EXPERT"),
        (
            ("--factors", "token", "--kind", "diagonal"),
            "--kind diagonal: this form is of kind kronecker alone",
        ),
        (
            ("--kind", "subspace", "--patch", "./nowhere", "./nowhere"),
            "./nowhere: its weights cannot be read",
        ),
    ],
)
def test_a_form_that_does_not_go_with_the_kind_is_refused(world, tmp_path, more, text):
    result = fisher(world, tmp_path / "out", *more)
    assert result.exit_code == 2, result.output
    assert text in result.output
    assert not (tmp_path / "out").exists()
