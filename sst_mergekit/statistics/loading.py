"""Loading the model and tokenizer that statistics are measured on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from sst_mergekit.checkpoints import DEQUANTIZE, quantisation, quantised
from sst_mergekit.errors import SstError, StatisticsError, is_of_the_machine
from sst_mergekit.files import expanded
from sst_mergekit.statistics import adapter_fit
from sst_mergekit.statistics.fingerprint import local_directory
from sst_mergekit.statistics.settings import ModelSpec


def split_revision(reference: str) -> tuple[str, str | None]:
    """Return (id, revision) of ``id[@revision]``; a folder's name is whole, with ``~`` expanded.

    >>> split_revision("user/name@main")
    ('user/name', 'main')
    """
    if expanded(reference).is_dir():
        return os.path.expanduser(reference), None  # noqa: PTH111  (Path would drop a leading ./)
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


def load_model(spec: ModelSpec, architecture: str | None = None, plain: bool = True) -> Any:
    """Return the model, with its adapter unmerged, in eval mode; safetensors weights only.

    Args:
        spec: which model, and how.
        architecture: the class of transformers that loads it; None: that of models that write text.
        plain: refuse quantised weights.

    Raises:
        StatisticsError: model or adapter cannot be loaded, or not whole; or the model is quantised.
    """
    import transformers

    name, revision = split_revision(spec.model)
    adapter = _adapter_folder(spec)
    if plain:
        _refuse_quantised(spec)
    try:
        model, told = getattr(transformers, architecture or _architecture(spec)).from_pretrained(
            name,
            revision=revision,
            dtype=getattr(torch, spec.dtype),
            use_safetensors=True,
            trust_remote_code=spec.trust_remote_code,
            device_map=spec.device_map,
            attn_implementation=spec.attention,
            output_loading_info=True,
        )
    except Exception as error:
        if is_of_the_machine(error):
            raise
        raise StatisticsError(f"{spec.model}: cannot be loaded ({_brief(error)})") from None
    if missing := sorted(told["missing_keys"]):
        raise StatisticsError(
            f"{spec.model}: lacks {missing[0]} ({len(missing)} in all), which would be random; copy it again"
        )
    if adapter:
        model = _with_adapter(model, str(spec.adapter), adapter)
    return (model if spec.device_map else model.to(spec.device)).eval()


def load_shapes(spec: ModelSpec) -> Any:
    """Return the model on the meta device, and the adapter's layers in it; of both only the config is read.

    Raises:
        StatisticsError: a config cannot be read, or transformers cannot make a model of it.
    """
    import transformers
    from peft import PeftConfig, get_peft_model

    told = spec.model
    try:
        config, architecture = _config(spec), _architecture(spec)
        with torch.device("meta"):
            model = getattr(transformers, architecture).from_config(
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


def _architecture(spec: ModelSpec) -> str:
    """Return the class of transformers for models that write text, whole: of those that see images too."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING as SEEING

    return "AutoModelForImageTextToText" if type(_config(spec)) in SEEING else "AutoModelForCausalLM"


def _config(spec: ModelSpec) -> Any:
    from transformers import AutoConfig

    name, revision = split_revision(spec.model)
    return AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=spec.trust_remote_code)


def _refuse_quantised(spec: ModelSpec) -> None:
    directory = local_directory(*split_revision(spec.model))
    try:
        config = _config(spec)
    except Exception:  # noqa: BLE001  (whoever loads the model says what is wrong with it)
        return
    why = quantisation(config) or (directory and quantised(directory))
    if why:
        raise StatisticsError(f"{spec.model}: quantised ({why}), so its numbers are no weights; {DEQUANTIZE}")


def _adapter_folder(spec: ModelSpec) -> Path | None:
    """Return where the files of the adapter are, if there is one; it may be on this model."""
    if not spec.adapter:
        return None
    directory = adapter_fit.directory_of(*split_revision(spec.adapter), spec.adapter)
    adapter_fit.require_base(spec.adapter, directory, spec.model)
    return directory


def _with_adapter(model: Any, adapter: str, directory: Path) -> Any:
    """Return the model with its adapter, every tensor of which was applied."""
    from peft import PeftModel
    from peft.utils import get_peft_model_state_dict
    from safetensors import SafetensorError

    try:
        adapted: Any = PeftModel.from_pretrained(model, str(directory), is_trainable=False)
    except (OSError, ValueError, SafetensorError, RuntimeError) as error:
        if is_of_the_machine(error):
            raise
        raise StatisticsError(f"{adapter}: the adapter cannot be loaded ({_brief(error)})") from None
    applied = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
    adapter_fit.require_applied(adapter, directory, applied)
    return adapted


def require_device(device: str) -> None:
    """Raise SstError where the device is not there."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SstError(f"--device {device}: not available here ({_brief(error)})") from None


def _brief(error: Exception) -> str:
    """Return what an error says, in one line; what follows a colon at a line's end belongs to it."""
    lines = [line.strip() for line in (str(error).strip() or type(error).__name__).splitlines()]
    more = lines[1:2] if lines[0].endswith(":") else []
    return " ".join([lines[0], *more])[:300]
