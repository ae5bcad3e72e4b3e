"""LoRA experts, and the refit of a patch."""
