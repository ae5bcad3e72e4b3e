"""A plan as people read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sst_mergekit.experiments.plan import Plan

ALL = {"questions": 14042, "programs": 164}  # prompts of MMLU and HumanEval


def text(plans: Iterable[Plan]) -> str:
    """Return the lines of all plans."""
    return "\n".join(line for plan in plans for line in (*_lines(plan), ""))


def _lines(plan: Plan) -> Iterator[str]:
    yield f"{plan['model']} ({plan['full_name']}), {plan['mode']}, seeds {', '.join(map(str, plan['seeds']))}"
    yield from _needs(plan)
    for part in plan["experiments"]:
        counts = ", ".join(f"{count} {kind}" for kind, count in part["units"].items())
        yield f"  {part['experiment']}: {counts}; then {part['then']}"
    yield from _units(plan)
    sizes = ", ".join(f"{_size(count)} for {what}" for what, count in plan["disk"].items())
    yield f"  disk: {sizes}"


def _needs(plan: Plan) -> Iterator[str]:
    needs = plan["needs"]
    split = {what: f"all {ALL[what]}" if count is None else count for what, count in needs["split"].items()}
    yield f"  a split: {', '.join(f'{count} {what}' for what, count in split.items())}"
    if "train_rows" in needs:
        yield f"  data: {needs['train_rows']} rows to train either expert on, from {needs['data_folder']}"
        yield (
            f"  {needs['torch_dtype']}, device_map {needs['device_map']}, "
            f"flash attention {needs['use_flash_attention']}"
        )
        if needs["confirm_run_unsafe_code"]:
            yield "  needs --confirm-run-unsafe-code: HumanEval runs programs that the model writes"


def _units(plan: Plan) -> Iterator[str]:
    units = plan["units"]
    if any(unit["made"] is None for unit in units):
        yield f"  {len(units)} units are known; which are there, the run itself finds out"
        return
    yield f"  {len(units)} units are known, {sum(unit['made'] for unit in units)} of them made; to make:"
    for unit in units:
        if not unit["made"]:
            yield f"    {unit['kind']:<10} {unit['key']}  {_size(unit['bytes']):>8}  {unit['name']}"


def _size(count: int | None) -> str:
    if count is None:
        return "unknown (the name does not say how large the model is)"
    return f"about {count / 1e9:.0f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
