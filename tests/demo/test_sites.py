"""Statistics at other sites and on other numbers of samples, as the variants of the demo want them."""

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from tiny import tiny_adapter, tiny_data, tiny_llama
from transformers import AutoModelForCausalLM

from sst_mergekit.testbeds.tiny.making import halved
from sst_mergekit.testbeds.tiny.testbed import TinyWorld
from sst_mergekit.testbeds.tiny.world import QUICK

NAMES = (
    *("utility-kronecker", "utility-on-harm-kronecker", "half-on-benign-kronecker", "half-on-harm-kronecker"),
    *("utility-given-kronecker", "safety-on-harm-alone-kronecker", "safety-kronecker"),
    "utility-kronecker@2",
)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """What a store would have: models, and data without look-alikes."""
    root = tmp_path_factory.mktemp("sites")
    places = {name: root / name for name in ("base", "utility", "safety", "data")}
    tiny_llama(places["base"], 0)
    tiny_llama(places["utility"], 1)
    tiny_adapter(places["safety"], places["base"], 2)
    rows = places["data"] / "calibration"
    rows.mkdir(parents=True)
    tiny_data(rows / "harm.jsonl")
    (rows / "look_alikes.jsonl").touch()
    tiny_data(rows / "benign.jsonl", (("w2 w1", "w9 w8"), ("w11 w3", "w20"), ("w14 w19", "w5 w5 w21")))
    return places


def weights(base, adapter):
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(adapter))
    return model.merge_and_unload().state_dict()


def test_half_an_adapter_moves_every_weight_half_as_far(places):
    start = AutoModelForCausalLM.from_pretrained(places["utility"]).state_dict()
    with halved(places["safety"]) as half:
        halfway = weights(places["utility"], half)
    whole = weights(places["utility"], places["safety"])
    moved = [name for name in start if not torch.equal(start[name], whole[name])]
    assert moved
    for name in start:
        torch.testing.assert_close(halfway[name] - start[name], (whole[name] - start[name]) / 2)
    assert not half.exists()


def factors(places, name, out):
    unit = TinyWorld(0, QUICK, 3).unit(name)
    parents = {role: places[parent.name.split(",")[0]] for role, parent in unit.parents.items()}
    unit.work(unit.inputs, parents, out)
    return {k: v for file in sorted(out.glob("*.safetensors")) for k, v in load_file(file).items()}


def test_every_site_and_number_of_samples_is_measured_by_itself(places, tmp_path):
    found = {name: factors(places, name, tmp_path / name) for name in NAMES}
    for number, one in enumerate(NAMES):
        assert found[one], one
        for other in NAMES[:number]:
            assert set(found[one]) == set(found[other])
            if {one, other} == {"safety-kronecker", "safety-on-harm-alone-kronecker"}:
                continue  # no look-alikes here
            differ = (not torch.equal(found[one][key], found[other][key]) for key in found[one])
            assert any(differ), (one, other)
