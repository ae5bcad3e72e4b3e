"""Adapters in, adapter out: merging LoRA adapters of one base without its weights."""
