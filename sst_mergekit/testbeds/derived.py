"""What follows from the experts and data of a testbed by its name: refits, trained adapters, statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sst_mergekit.baselines.shared.method import Experts
from sst_mergekit.core.settings import DEFAULTS
from sst_mergekit.jobs.unit import Unit
from sst_mergekit.testbeds.measured import parted
from sst_mergekit.testbeds.model import Testbed
from sst_mergekit.testbeds.scoring import Parents

if TYPE_CHECKING:
    from sst_mergekit.statistics.axes import AxesSource

CONFIG = "adapter_config.json"
CALIBRATION = ["calibration/harm.jsonl", "calibration/benign.jsonl"]
SUBSPACE_RANK = 16
REFIT_STRENGTH, REFIT_COST = 0.7, DEFAULTS.cost
PATCH = ("base", "utility", "safety", "utility-kronecker", "safety-kronecker")


def derived(bed: Testbed, name: str) -> tuple[str, dict[str, Any], dict[str, Unit]]:
    """Return what a name asks for (``refit``, ``trained`` or ``statistics``), its facts and its parents."""
    word, *numbers = name.split("/")
    parents = {"data": bed.unit("data")}
    if word == "refit":
        return word, {"rate": float(numbers[0])}, parents | {need: bed.unit(need) for need in PATCH}
    if word in ("trained", "few_shot"):
        *refusals, steps, rate = numbers
        facts = {"rows": CALIBRATION, "steps": int(steps), "rate": float(rate)}
        facts |= {"rows": CALIBRATION[:1], "refusals": int(refusals[0])} if refusals else {}
        return "trained", facts, parents | {"model": bed.unit("utility")}
    site, kind, samples = parted(name)
    model, adapter = site.model, site.adapter
    if adapter and "+" not in bed.experts.safety:  # the safety expert is a whole model
        model, adapter = "safety", None
    parents["model"] = bed.unit(model)
    if adapter:
        parents["adapter"] = bed.unit(adapter)
    if kind == "subspace":
        parents |= {need: bed.unit(need) for need in ("base", "safety")}  # for the patch's coordinates
    return "statistics", {"site": site, "kind": kind, "samples": samples}, parents


def refitted(parents: Parents, rank: int):  # noqa: ANN201
    """Return what a refit starts from, and its calibration data."""
    from sst_mergekit.statistics.rows import Source
    from sst_mergekit.training.refit_settings import Data, Start

    experts, rows = _experts(parents), parents["data"] / "calibration"
    utility, safety = experts.fisher("kronecker")
    start = Start(experts.base, experts.safety, REFIT_STRENGTH, rank, (safety, utility), REFIT_COST)
    return start, Data(Source(str(rows / "harm.jsonl")), Source(str(rows / "benign.jsonl")))


def axes_of(parents: Parents, kind: str) -> AxesSource | None:
    """Return the coordinates that a kind is measured in."""
    from sst_mergekit.adapters.deltas import deltas
    from sst_mergekit.statistics.axes import AxesSource, patch_axes

    if kind != "subspace":
        return None
    experts = _experts(parents)
    pair = experts.base, experts.safety
    return AxesSource(lambda: patch_axes(deltas(*pair), SUBSPACE_RANK), {"patch": list(pair)})


@dataclass(frozen=True)
class _Made(Experts):
    """Experts whose statistics lie where the store put them."""

    places: Mapping[str, Path] = field(default_factory=dict)

    def fisher(self, kind: str) -> tuple[str, str]:
        return str(self.places[f"utility-{kind}"]), str(self.places[f"safety-{kind}"])


def _experts(parents: Parents) -> Experts:
    """Return what recipes know experts by, at the places of `parents`."""
    base, utility, safety = (parents.get(name, Path()) for name in ("base", "utility", "safety"))
    whole = safety != Path() and not (safety / CONFIG).is_file()
    expert = str(safety) if whole else f"{base}+{safety}"
    return _Made(str(base), str(utility), expert, "", "", places=parents)
