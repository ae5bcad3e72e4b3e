"""What a measurement is asked for: model, kind, form, options. No torch, so that the command is quick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sst_mergekit.statistics.team import Team

if TYPE_CHECKING:
    from sst_mergekit.statistics.kinds.kind import Axes

FACTORS = ("sequence", "token", "expand", "reduce")
STORED = ("float32", "bfloat16")  # what statistics are written as; they are summed in float32
LABELS = ("given", "sampled")
DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class ModelSpec:
    """A causal language model: Hub id (``id@revision``) or path, and perhaps a LoRA adapter on it.

    Attributes:
        device: where it is, or where inputs go.
        device_map: how transformers spreads it over several devices; None: all of it is on `device`.
        attention: transformers' ``attn_implementation``; None for its own choice.
    """

    model: str
    adapter: str | None = None
    dtype: str = "float32"
    device: str = "cpu"
    trust_remote_code: bool = False
    device_map: str | None = None
    attention: str | None = None


@dataclass(frozen=True)
class Form:
    """How a kind is measured.

    Attributes:
        factors: what Kronecker factors are marginals of: each ``sequence``'s gradient, each ``token``'s
            (tokens taken as independent), or K-FAC's (inputs and gradients taken as independent too), in its
            ``expand`` or ``reduce`` form.
        axes: layer -> coordinates, for the kinds that need them; layers without are left out.
        factor_rank: eigenpairs that are kept of a dense factor; None: all of it.
    """

    factors: str = FACTORS[0]
    axes: Mapping[str, Axes] | None = None
    factor_rank: int | None = None


@dataclass(frozen=True)
class Options:
    """How statistics are collected.

    Attributes:
        kind: name of the statistics.
        form: how that kind is measured.
        labels: ``given`` (the data's responses) or ``sampled`` (drawn from the model: the true Fisher).
        batch_size: sequences a pass; halved when memory runs out.
        seed: for sampled labels.
        device: where the model is.
        progress: show a bar.
        team: the processes that measure together, each a share of the sequences.
        max_memory: bytes that the process (on a GPU: its tensors) may take; then layers are measured in
            groups, one pass over the data each. None: all layers in one pass.
        expert_tokens: an expert that fewer tokens reach takes the mean of its layer's experts.
    """

    kind: str = "kronecker"
    form: Form = Form()  # noqa: RUF009 (frozen)
    labels: str = "given"
    batch_size: int = 8
    seed: int = 0
    device: str = "cpu"
    progress: bool = True
    team: Team = Team()  # noqa: RUF009 (frozen)
    max_memory: int | None = None
    expert_tokens: int = 64
