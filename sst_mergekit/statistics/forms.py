"""The forms of one weight's name, and the one form in which names are compared.

| model | checkpoint, mergekit's template | module of transformers 5 |
|---|---|---|
| Llama, Mistral, Qwen, ... | ``model.layers.0`` | ``model.layers.0`` |
| GPT-2, Falcon | ``h.0`` or ``transformer.h.0`` | ``transformer.h.0`` |
| GPT-NeoX | ``gpt_neox.layers.0`` | ``gpt_neox.layers.0`` |
| Gemma-3, Mistral-3 | ``language_model.model.layers.0`` | ``model.language_model.layers.0`` |
| | ``language_model.lm_head`` | ``lm_head`` |
| | ``vision_tower`` (Gemma-3: ``vision_tower.vision_model``) | ``model.vision_tower`` |
| | ``multi_modal_projector`` | ``model.multi_modal_projector`` |
| Qwen2.5-VL | ``model.layers.0``, ``visual`` | ``model.language_model.layers.0``, ``model.visual`` |
| Qwen3-VL | ``model.language_model.layers.0``, ``model.visual`` | the same |
| Llama-4 | ``language_model.model.layers.0``, ``vision_model`` | the same; of text: ``model.layers.0`` |

PEFT has ``base_model.model.`` before the module's name. Containers of language are taken away; those of
images stay, one name each, so that ``vision_model.model.layers.0`` is never ``layers.0``.
"""

from __future__ import annotations

PEFT = "base_model.model."
NOT_BY_TEXT = "not reached by text"
_CONTAINERS = {  # how a name begins -> what stands for it; the longest decides
    "model.language_model.": "",
    "language_model.model.": "",
    "language_model.": "",
    "model.": "",
    "transformer.": "",
    "gpt_neox.": "",
    "vision_tower.vision_model.": "vision_tower.",
    "model.vision_tower.vision_model.": "vision_tower.",
}
_OF_IMAGES = ("vision_tower.", "vision_model.", "visual.", "multi_modal_projector.")


def bare_name(name: str) -> str:
    """Return the name of a weight or module without its outer containers, the same for all of its forms.

    >>> bare_name("transformer.h.0.attn.c_attn.weight"), bare_name("language_model.model.layers.0.mlp")
    ('h.0.attn.c_attn.weight', 'layers.0.mlp')
    """
    name = name.removeprefix(PEFT)
    for container in sorted(_CONTAINERS, key=len, reverse=True):
        if name.startswith(container):
            return _CONTAINERS[container] + name[len(container) :]
    return name


def is_of_images(name: str) -> bool:
    """Return whether a weight or module is of what a model sees images with, which text does not reach.

    >>> is_of_images("model.visual.blocks.0.attn.qkv.weight"), is_of_images("model.layers.0.mlp")
    (True, False)
    """
    return bare_name(name).startswith(_OF_IMAGES)
