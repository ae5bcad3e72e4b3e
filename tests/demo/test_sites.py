"""Statistics at other sites and on other numbers of samples, as the variants of the demo want them."""

import dataclasses

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from tiny import tiny_adapter, tiny_data, tiny_llama
from transformers import AutoModelForCausalLM

from sst_mergekit.experiments.demo_plan import QUICK, SAFETY, SeedPlan, measure
from sst_mergekit.experiments.variants import MEASUREMENTS
from sst_mergekit.testbeds.tiny.preparing import halved


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    plan = SeedPlan(tmp_path_factory.mktemp("sites"), 0, dataclasses.replace(QUICK, samples=3))
    world = plan.folder / "world"
    tiny_llama(world / "base", 0)
    tiny_llama(world / "utility", 1)
    tiny_adapter(world / SAFETY, world / "base", 2)
    (world / "calibration").mkdir()
    tiny_data(world / "calibration" / "harm.jsonl")
    (world / "calibration" / "look_alikes.jsonl").touch()
    tiny_data(
        world / "calibration" / "benign.jsonl",
        (("w2 w1", "w9 w8"), ("w11 w3", "w20"), ("w14 w19", "w5 w5 w21")),
    )
    return plan


def weights(base, adapter):
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(adapter))
    return model.merge_and_unload().state_dict()


def test_half_an_adapter_moves_every_weight_half_as_far(plan):
    world = plan.folder / "world"
    start = AutoModelForCausalLM.from_pretrained(world / "utility").state_dict()
    with halved(world / SAFETY) as half:
        halfway = weights(world / "utility", half)
    whole = weights(world / "utility", world / SAFETY)
    moved = [name for name in start if not torch.equal(start[name], whole[name])]
    assert moved
    for name in start:
        torch.testing.assert_close(halfway[name] - start[name], (whole[name] - start[name]) / 2)
    assert not half.exists()


def factors(plan, who, kind):
    measure(plan, who, kind)
    folder = plan.folder / "fisher" / f"{who}-{kind}"
    return {k: v for file in sorted(folder.glob("*.safetensors")) for k, v in load_file(file).items()}


def test_every_site_and_number_of_samples_is_measured_by_itself(plan):
    plan_of_all = [("utility", "kronecker"), *MEASUREMENTS]
    found = {one: factors(plan, *one) for one in plan_of_all if "@" not in one[1]}
    found[("utility", "kronecker@2")] = factors(plan, "utility", "kronecker@2")
    kinds = list(found)
    for number, one in enumerate(kinds):
        assert found[one], one
        for other in kinds[:number]:
            assert set(found[one]) == set(found[other])
            assert any(not torch.equal(found[one][key], found[other][key]) for key in found[one]), (
                one,
                other,
            )
