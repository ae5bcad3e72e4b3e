"""The configs of the three models that the README follows, by their sizes: no Hub is needed."""

from __future__ import annotations

from typing import Any

# name -> the class of its configuration, and the sizes that its config.json says
SIZES = {
    "mistral-7b": ("Mistral", 32000, 4096, 14336, 32, 32, 8),
    "llama-3.1-8b": ("Llama", 128256, 4096, 14336, 32, 32, 8),
    "qwen2.5-14b": ("Qwen2", 152064, 5120, 13824, 48, 40, 8),
}


def config(name: str) -> Any:
    """Return the config of one of them."""
    import transformers

    kind, vocabulary, width, inner, layers, heads, groups = SIZES[name]
    return getattr(transformers, f"{kind}Config")(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=groups,
        tie_word_embeddings=False,
    )
