"""Loading the model and tokenizer that statistics are measured on."""

from __future__ import annotations

import os
from typing import Any

import torch

from sst_mergekit.errors import SstError, StatisticsError, is_of_the_machine
from sst_mergekit.statistics.settings import ModelSpec


def split_revision(reference: str) -> tuple[str, str | None]:
    """Return (id, revision) of ``id[@revision]``.

    >>> split_revision("user/name@main")
    ('user/name', 'main')
    """
    name, _, revision = reference.partition("@")
    return name, revision or None


def default_device() -> str:
    """Return ``cuda`` where there is a GPU, else ``cpu``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def load_tokenizer(spec: ModelSpec) -> Any:
    """Return the model's tokenizer; it starts no threads of its own, unless the environment says otherwise.

    Raises:
        StatisticsError: it cannot be loaded.
    """
    from transformers import AutoTokenizer

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # texts are few; threads take memory

    name, revision = split_revision(spec.model)
    try:
        return AutoTokenizer.from_pretrained(
            name, revision=revision, trust_remote_code=spec.trust_remote_code
        )
    except Exception as error:  # transformers and tokenizers raise many kinds
        if is_of_the_machine(error):
            raise
        raise StatisticsError(f"{spec.model}: its tokenizer cannot be loaded ({_brief(error)})") from None


def load_model(spec: ModelSpec, architecture: str = "AutoModelForCausalLM") -> Any:
    """Return the model, with its adapter unmerged, in eval mode; safetensors weights only.

    Args:
        spec: which model, and how.
        architecture: the class of transformers that loads it.

    Raises:
        StatisticsError: model or adapter cannot be loaded.
    """
    import transformers

    name, revision = split_revision(spec.model)
    try:
        model: Any = getattr(transformers, architecture).from_pretrained(
            name,
            revision=revision,
            dtype=getattr(torch, spec.dtype),
            use_safetensors=True,
            trust_remote_code=spec.trust_remote_code,
            device_map=spec.device_map,
            attn_implementation=spec.attention,
        )
    except Exception as error:
        if is_of_the_machine(error):
            raise
        raise StatisticsError(f"{spec.model}: cannot be loaded ({_brief(error)})") from None
    if spec.adapter:
        model = _with_adapter(model, spec.adapter)
    return (model if spec.device_map else model.to(spec.device)).eval()


def load_shapes(spec: ModelSpec) -> Any:
    """Return the model on the meta device, and the adapter's layers in it; of both only the config is read.

    Raises:
        StatisticsError: a config cannot be read, or transformers cannot make a model of it.
    """
    from peft import PeftConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    told = spec.model
    try:
        name, revision = split_revision(spec.model)
        config = AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=spec.trust_remote_code)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(
                config,
                dtype=getattr(torch, spec.dtype),
                attn_implementation=spec.attention,
                trust_remote_code=spec.trust_remote_code,
            )
            if spec.adapter:
                told = spec.adapter
                name, revision = split_revision(spec.adapter)
                model = get_peft_model(model, PeftConfig.from_pretrained(name, revision=revision))
    except Exception as error:  # noqa: BLE001  (transformers, PEFT and the Hub raise many kinds)
        if is_of_the_machine(error):
            raise
        raise StatisticsError(f"{told}: its config gives no model ({_brief(error)})") from None
    return model.eval()


def _with_adapter(model: Any, adapter: str) -> Any:
    from peft import PeftModel
    from safetensors import SafetensorError

    name, revision = split_revision(adapter)
    try:
        return PeftModel.from_pretrained(model, name, revision=revision, is_trainable=False)
    except (OSError, ValueError, SafetensorError, RuntimeError) as error:
        if is_of_the_machine(error):
            raise
        raise StatisticsError(f"{adapter}: the adapter cannot be loaded ({_brief(error)})") from None


def require_device(device: str) -> None:
    """Raise SstError where the device is not there."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SstError(f"--device {device}: not available here ({_brief(error)})") from None


def _brief(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
