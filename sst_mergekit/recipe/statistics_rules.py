"""Rules of merge_method sst on the statistics: there, readable, of a fitting kind and shape."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sst_mergekit.checkpoints import headers
from sst_mergekit.core.geometries import GEOMETRIES
from sst_mergekit.errors import SstError, StatisticsError
from sst_mergekit.files import expanded
from sst_mergekit.recipe.checkpoint import is_local, local_headers
from sst_mergekit.recipe.fault import Fault, first_and_count
from sst_mergekit.recipe.parse import Input, Recipe
from sst_mergekit.recipe.sst_rules import experts, shared_values, text
from sst_mergekit.statistics.manifest import FILE_NAME, LayerRecord
from sst_mergekit.statistics.store import StatisticsStore, unlike


def fisher_key(item: Input) -> str:
    """Return the recipe key of an expert's statistics."""
    return f"{item.key}.parameters.fisher"


def measured(recipe: Recipe) -> Iterator[tuple[Input, StatisticsStore]]:
    """Yield the experts whose statistics can be read here, with them."""
    for item in experts(recipe):
        source = text(item, "fisher")
        directory = statistics_directory(source) if source else None
        if source and directory:
            try:
                yield item, StatisticsStore(directory, source)
            except StatisticsError:
                continue  # said by statistics_readable


def statistics_directory(source: str) -> Path | None:
    """Return where statistics are on this machine, or None; nothing is downloaded."""
    path = expanded(source)
    if path.is_dir():
        return path
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    repo, _, revision = source.partition("@")
    try:
        found = try_to_load_from_cache(repo, FILE_NAME, revision=revision or None)
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


def statistics_readable(recipe: Recipe) -> Iterator[Fault]:
    """Yield statistics that are not there, or whose manifest or files are missing or damaged."""
    for item in experts(recipe):
        source = text(item, "fisher")
        if source:
            yield from local_statistics(fisher_key(item), source)


def local_statistics(key: str, source: str) -> Iterator[Fault]:
    """Yield what is wrong with the statistics that a recipe names at ``key``."""
    directory = statistics_directory(source)
    if directory is None and is_local(source):
        yield Fault(key, f"'{source}': no such directory; make it with 'sst-mergekit fisher --out {source}'")
    elif directory is None:
        yield Fault(key, f"'{source}' is not on this machine yet, so it is not checked", warning=True)
    else:
        try:
            yield from _incomplete(key, StatisticsStore(directory, source))
        except SstError as error:
            yield Fault(key, str(error))


def _incomplete(key: str, store: StatisticsStore) -> Iterator[Fault]:
    """Yield the tensors that the manifest promises and the files do not hold, and files not there."""
    manifest = store.manifest
    files = [store.directory / name for name in sorted(set(manifest.weight_map.values()))]
    gone = [path.name for path in files if not path.is_file()]
    if gone:
        yield Fault(key, f"{store.source} lacks {first_and_count(gone)}; copy it again or measure again")
        return
    held = headers(files)
    promised = {name for record in manifest.layers.values() for name in record.tensors.values()}
    lost = sorted(promised - held.keys())
    if lost:
        yield Fault(key, f"{store.source} has no tensor {first_and_count(lost)}; measure again")


def kind_of_geometry(recipe: Recipe) -> Iterator[Fault]:
    """Yield statistics that do not hold what the geometry reads."""
    geometries = [leaf.value for leaf in shared_values(recipe, "geometry") if leaf.value in GEOMETRIES]
    for item, store in measured(recipe):
        for geometry in geometries:
            needs = GEOMETRIES[geometry].needs
            layers = store.manifest.layers.items()
            lacking = [(name, need) for name, r in layers for need in needs if need not in r.tensors]
            if lacking:
                yield Fault(
                    fisher_key(item),
                    f"{store.source} holds {store.manifest.kind} statistics; geometry {geometry} needs "
                    f"'{lacking[0][1]}' of {first_and_count([name for name, _ in lacking])}; "
                    f"measure with --kind {geometry} or change parameters.geometry",
                )


def one_form(recipe: Recipe) -> Iterator[Fault]:
    """Yield statistics whose Kronecker factors were measured in another form than the first expert's."""
    known = [(item, store) for item, store in measured(recipe) if store.factors is not None]
    for item, store in known[1:]:
        what = unlike(known[0][1], store)
        if what:
            yield Fault(fisher_key(item), what)


def shapes_of_model(recipe: Recipe) -> Iterator[Fault]:
    """Yield statistics of other shapes than the expert's tensors (or the base model's, if that is here)."""
    for item, store in measured(recipe):
        tensors = local_headers(item.reference) or local_headers(recipe.base) or {}
        wrong, first = [], ""
        for name, header in tensors.items():
            known = known_shape(store, name)
            if known and known != header.shape:
                first = first or f"{list(known)}, the model's tensor is {list(header.shape)}"
                wrong.append(name)
        if wrong:
            yield Fault(
                fisher_key(item),
                f"{store.source} has statistics of another shape for {first_and_count(wrong)}: {first}; "
                "they are of another model or vocabulary, measure again",
            )
        elif tensors and not any(store.covers(name) for name in tensors):
            name = next(iter(store.manifest.layers), "no layer at all")
            yield Fault(
                fisher_key(item),
                f"{store.source} is of another architecture ({name}); measure '{item.reference}'",
            )


def known_shape(store: StatisticsStore, name: str) -> tuple[int, ...] | None:
    """Return the shape of a checkpoint's tensor, a weight or a stack of experts, by the statistics."""
    record = store.find(name)
    if record:
        return stored_shape(record)
    names = store.slices(name)
    first = store.find(names[0]) if names else None
    return (len(names), *stored_shape(first)) if first else None


def stored_shape(record: LayerRecord) -> tuple[int, ...]:
    """Return the shape of the weight as a checkpoint stores it."""
    return tuple(record.shape[::-1] if record.transposed else record.shape)


RULES = (statistics_readable, kind_of_geometry, one_form, shapes_of_model)
