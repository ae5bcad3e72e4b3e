"""The numbers of every weight, found by mergekit's own planner: gradients, filters and defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mergekit.architecture import ModelArchitecture, WeightInfo, arch_info_for_config
from mergekit.architecture.auto import infer_architecture_info
from mergekit.common import ModelReference
from mergekit.config import ConfigReader, MergeConfiguration
from mergekit.options import MergeOptions
from mergekit.parameter_resolver import resolve_parameters
from mergekit.plan import MergePlanner

from sst_mergekit.errors import RecipeError
from sst_mergekit.statistics.forms import bare_name


@dataclass(frozen=True)
class Numbers:
    """The parameters of a merge for one weight.

    Attributes:
        name: the weight's name, as the full merge writes it.
        shared: parameter -> value.
        own: model -> parameter -> value, in the order of the recipe.
    """

    name: str
    shared: Mapping[str, Any]
    own: Mapping[ModelReference, Mapping[str, Any]]


@dataclass(frozen=True)
class Plan:
    """The numbers of all weights of the base model."""

    base: ModelReference
    weights: tuple[Numbers, ...]
    by_name: Mapping[str, Numbers]

    def of_module(self, module: str, source: str) -> Numbers:
        """Return the numbers of a module's weight.

        Raises:
            RecipeError: the base model has no such weight.
        """
        numbers = self.by_name.get(bare_name(f"{module}.weight"))
        if numbers is None:
            raise RecipeError(
                f"{source}: is on {module}, which is no layer of '{self.base}' that mergekit merges; "
                "name the model it was trained on"
            )
        return numbers


class _Recorder(MergePlanner):
    """mergekit's planner, noting each weight's parameters where it would plan to read tensors."""

    def plan_tensor(
        self,
        weight: WeightInfo,
        weights_in: list[WeightInfo],
        models: list[ModelReference],
        cfg_reader: ConfigReader,
    ) -> None:
        """Note the parameters of one weight, as ``MergePlanner.plan_tensor`` resolves them."""
        shared, own = resolve_parameters(
            self._method.spec,
            tensor_name=weight.name,
            inputs={model: w.name for model, w in zip(models, weights_in, strict=True)},
            sources=cfg_reader.parameter_sources,
            base_model=cfg_reader.base_model,
            t=cfg_reader.t,
        )
        self.noted[weight] = Numbers(weight.name, shared, own)

    def run(self) -> dict[WeightInfo, Numbers]:
        """Return the numbers of every weight, in mergekit's order."""
        self.noted: dict[WeightInfo, Numbers] = {}
        self._plan()
        return self.noted


def plan(raw: Mapping[str, Any], base: ModelReference) -> Plan:
    """Return the numbers that a full merge of the recipe would use; only the base's config.json is read.

    Args:
        raw: the recipe as written.
        base: the model that all adapters are on.

    Raises:
        RecipeError: the base's configuration cannot be read, or a parameter is missing or invalid.
    """
    options = MergeOptions()
    try:
        config = base.config()
        architecture = _architecture(base, config, options)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise RecipeError(
            f"base_model: the config.json of '{base}' cannot be read or is of no architecture that mergekit "
            f"knows ({reason})"
        ) from None
    try:
        noted = _Recorder(MergeConfiguration.model_validate(raw), architecture, options, config).run()
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise RecipeError(f"{raw.get('merge_method')}: mergekit refuses the recipe ({reason})") from None
    by_name = {}
    for weight, numbers in noted.items():
        for name in (*(weight.tied_names or ()), *(weight.aliases or ()), weight.name):
            by_name.setdefault(bare_name(name), numbers)
    by_name |= {bare_name(numbers.name): numbers for numbers in noted.values()}
    return Plan(base, tuple(noted.values()), by_name)


def _architecture(base: ModelReference, config: Any, options: MergeOptions) -> ModelArchitecture:
    """Return mergekit's description of the model; one that it infers needs the names of the weights too."""
    return arch_info_for_config(config) or infer_architecture_info((base,), base, options)
