"""``null_space`` of adapters: its rank is the inputs', and what it needs is asked for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from lora_world import World, configuration, lora, made
from test_lora_rank import retained


def test_the_rank_is_what_the_adapters_add_up_to_and_nothing_is_lost(world: World, tmp_path: Path) -> None:
    result = lora(world.projected(energy=0.9), tmp_path / "out")
    assert result.exit_code == 0, result.output
    written = configuration(tmp_path / "out")
    assert max([written["r"], *written["rank_pattern"].values()]) == 6  # q_proj: 2 and 4
    with pytest.raises(AssertionError):
        retained(result.output)


@pytest.mark.parametrize(
    ("model", "name", "value", "text"),
    [
        (0, "fisher", "", "has no 'parameters.fisher'; measure it with 'sst-mergekit fisher"),
        (1, "role", "utility", "method null_space needs exactly 1 of 'role: utility', got 2"),
    ],
)
def test_what_it_needs_is_named(
    world: World, model: int, name: str, value: str, text: str, tmp_path: Path
) -> None:
    recipe = world.projected()
    recipe["models"][model]["parameters"][name] = value
    result = lora(recipe, tmp_path / "out", "--no-check")
    assert result.exit_code == 2
    assert text in result.output


def test_a_layer_without_statistics_is_an_error_or_the_utility_experts(world: World, tmp_path: Path) -> None:
    """The statistics' manifest is left without the layers' names."""
    source = tmp_path / "fisher"
    shutil.copytree(world.root / "fisher-skill", source)
    manifest = source / "manifest.json"
    manifest.write_text(manifest.read_text().replace("layers.1.mlp.down_proj", "layers.9.mlp.down_proj"))
    recipe = world.projected()
    recipe["models"][0]["parameters"]["fisher"] = str(source)
    result = lora(recipe, tmp_path / "out", "--no-check")
    assert result.exit_code == 2
    assert "layers.1.mlp.down_proj" in result.output
    assert "set 'on_missing: keep'" in result.output
    recipe["parameters"]["on_missing"] = "keep"
    made(recipe, tmp_path / "kept", "--no-check")
