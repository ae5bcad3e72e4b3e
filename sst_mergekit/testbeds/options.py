"""A model of a configuration, and how much data it is studied on."""

from __future__ import annotations

from dataclasses import dataclass, replace

TINY_WORLD = "tiny-world"  # the full_name of the embedded world


@dataclass(frozen=True)
class Sizes:
    """How much data one mode takes.

    Attributes:
        train: BeaverTails rows for training and statistics.
        harmful, questions, programs: prompts of BeaverTails, MMLU and HumanEval; None: all.
        subjects: of MMLU: a number, a list of names, or None for all.
        batch_sizes: of beavertails, mmlu and humaneval.
    """

    train: int
    harmful: int
    questions: int | None
    programs: int | None
    subjects: int | list[str] | None
    batch_sizes: dict[str, int]


@dataclass(frozen=True)
class ModelOptions:
    """A model: its id on the Hub (or ``tiny-world``), how it is loaded, and data sizes of its own."""

    name: str
    full_name: str
    device_map: str
    torch_dtype: str
    use_flash_attention: bool
    sizes: dict[str, Sizes]

    @property
    def is_tiny_world(self) -> bool:
        """Whether it is the embedded world."""
        return self.full_name == TINY_WORLD

    def with_batch_size(self, size: int | None) -> ModelOptions:
        """Return the options with one batch size for all data sets; None leaves them as they are."""
        if size is None:
            return self
        sizes = {
            mode: replace(found, batch_sizes=dict.fromkeys(found.batch_sizes, size))
            for mode, found in self.sizes.items()
        }
        return replace(self, sizes=sizes)
