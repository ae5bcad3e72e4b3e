"""Adapters as TRL, Unsloth and Axolotl leave them, read by our commands; ours as vLLM wants them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from safetensors import safe_open
from tiny import tiny_adapter, tiny_data, tiny_llama

from sst_mergekit.cli import main


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    tiny_data(tmp_path / "data.jsonl")
    return tiny_llama(tmp_path / "base", 0)


def merged(utility: str, safety: str) -> Path:
    """Return the adapter that statistics, a drafted recipe, its check and the merge of two adapters make."""
    for name, adapter in (("utility", utility), ("safety", safety)):
        line = ("fisher", "--model", "./base", "--adapter", adapter, "--data", "data.jsonl", "--quiet")
        run(*line, "--out", f"fisher-{name}")
    experts = ("--utility", utility, "--safety", safety)
    fisher = ("--fisher-utility", "./fisher-utility", "--fisher-safety", "./fisher-safety")
    run("init", "--base", "./base", *experts, *fisher)
    run("check", "recipe.yml", "--lora-merge-cache", "cache", "--lora-merge-dtype", "float32")
    run("lora", "recipe.yml", "merged", "--quiet")
    return Path("merged")


def left_by_a_trainer(adapter: Path, number: int) -> Path:
    """Move an adapter into checkpoint-N, among what transformers' Trainer writes beside it."""
    checkpoint = adapter / f"checkpoint-{number}"
    checkpoint.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors", "README.md"):
        (adapter / name).rename(checkpoint / name)
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"):
        (checkpoint / name).write_bytes(b"a pickle that nobody may read")
    (checkpoint / "trainer_state.json").write_text('{"global_step": 1}')
    (checkpoint / "tokenizer_config.json").write_text("{}")
    return checkpoint


def change(adapter: Path, **keys: object) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


def test_adapters_of_trl(base: Path) -> None:
    """SFTTrainer's own checkpoints, really trained."""
    trl = pytest.importorskip("trl", reason="TRL is optional")
    from datasets import Dataset
    from peft import LoraConfig

    rows = [json.loads(line) for line in Path("data.jsonl").read_text().splitlines()]
    data = Dataset.from_list([{"prompt": row["prompt"], "completion": " " + row["response"]} for row in rows])
    for seed, name in enumerate(("utility", "safety")):
        trainer = trl.SFTTrainer(
            model="./base",
            args=trl.SFTConfig(
                name,
                max_steps=1,
                save_steps=1,
                seed=seed,
                learning_rate=0.1,
                report_to=[],
                use_cpu=True,
                bf16=False,
                gradient_checkpointing=False,
                per_device_train_batch_size=2,
            ),
            train_dataset=data,
            peft_config=LoraConfig(
                r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"
            ),
        )
        trainer.train()
    assert (Path("utility/checkpoint-1") / "training_args.bin").is_file()
    out = merged("utility/checkpoint-1", "safety/checkpoint-1")
    assert json.loads((out / "adapter_config.json").read_text())["r"] == 4


def test_adapters_of_unsloth(base: Path) -> None:
    """Their base is named as the quantised copy, their targets by a pattern."""
    for seed, name in enumerate(("utility", "safety")):
        tiny_adapter(base.parent / name, base, seed)
        checkpoint = left_by_a_trainer(base.parent / name, 60)
        layers = r"\bmodel\.layers\.[\d]{1,}\.(?:self_attn|mlp)\.(?:(?:q_proj|up_proj))"
        pattern = rf"(?:.*?(?:language|text).*?(?:self_attn|mlp).*?(?:q_proj|up_proj).*?)|(?:{layers})"
        change(
            checkpoint,
            base_model_name_or_path="unsloth/mistral-7b-v0.1-unsloth-bnb-4bit",
            target_modules=pattern,
            auto_mapping={"base_model_class": "LlamaForCausalLM", "unsloth_fixed": True},
        )
    assert (merged("utility/checkpoint-60", "safety/checkpoint-60") / "adapter_model.safetensors").is_file()


def test_adapters_of_axolotl(base: Path) -> None:
    """The last adapter lies at the top of output_dir, with the base's config.json and tokenizer beside it."""
    for seed, name in enumerate(("utility", "safety")):
        out = tiny_adapter(base.parent / name, base, seed)
        for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            (out / file).write_bytes((base / file).read_bytes())
        (out / "checkpoint-10").mkdir()
        (out / "training_args.bin").write_bytes(b"a pickle that nobody may read")
    assert (merged("./utility", "./safety") / "adapter_model.safetensors").is_file()


def test_a_merged_adapter_is_what_vllm_serves(base: Path) -> None:
    """vLLM takes one scale, alpha / r, reads no patterns, and tells modules by their last name."""
    for seed, name in enumerate(("utility", "safety")):
        tiny_adapter(base.parent / name, base, seed, rank=2 + seed)
    out = merged("./utility", "./safety")
    config = json.loads((out / "adapter_config.json").read_text())
    assert config["peft_type"] == "LORA"
    assert config["lora_alpha"] == config["r"] == 5
    assert set(config["alpha_pattern"].items()) == set(config["rank_pattern"].items())  # every scale is 1
    assert not config["use_dora"]
    assert not config["use_rslora"]
    assert (config["bias"], config["modules_to_save"]) == ("none", None)
    with safe_open(out / "adapter_model.safetensors", framework="pt") as file:
        for name in file.keys():  # noqa: SIM118
            module, _, factor = name.removeprefix("base_model.model.").rpartition(".lora_")
            assert module.split(".")[-1] in {"q_proj", "up_proj"}
            assert factor in ("A.weight", "B.weight")
            assert min(file.get_slice(name).get_shape()) <= config["r"]
