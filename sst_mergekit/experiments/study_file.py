"""Reading a study file: base, experts, data, tasks and what is compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sst_mergekit.errors import SstError
from sst_mergekit.experiments.names import methods as known_methods
from sst_mergekit.experiments.results import Choice
from sst_mergekit.experiments.trials import Tuning
from sst_mergekit.files import expanded, sha256
from sst_mergekit.testbeds.derived import CONFIG
from sst_mergekit.testbeds.own.tasks import Tasks, parsed
from sst_mergekit.testbeds.own.testbed import Calibration, Expert, OwnTestbed
from sst_mergekit.testbeds.real.loading import Loading
from sst_mergekit.testbeds.real.making import local_model, weights_of
from sst_mergekit.testbeds.sections import Section, read_yaml

METHODS = ("task_arithmetic", "ties", "sst", "sst_refit", "lora_training", "few_shot")
STEPS, RATES, FEW_RATES = (30, 60, 120, 240), (1e-4, 8e-4), (1e-4, 1.6e-3)  # of trained adapters
DTYPES = ("float32", "bfloat16", "float16")
TRAINING = ("steps", "learning_rate", "rank", "batch_size", "max_length", "samples")
NUMBERS = ("samples", "held_out", "respond", "max_length")


@dataclass(frozen=True)
class Study:
    """A study file.

    Attributes:
        body: what the file holds.
        name: of the base, in the report.
        base, utility, safety: as written.
        rows: files of conversations, their hashes not yet known.
        tasks: what is asked.
        tuning: what is compared, and how settings are chosen.
        seeds: of trainings, splits and everything random.
        out: folder of everything that is written.
        loading: how models are loaded.
        batch_size: of scoring and of statistics.
    """

    body: Mapping[str, Any]
    name: str
    base: str
    utility: Any
    safety: Any
    rows: Calibration
    tasks: Tasks
    tuning: Tuning
    seeds: tuple[int, ...]
    out: Path
    loading: Loading
    batch_size: int

    def beds(self) -> list[OwnTestbed]:
        """Return the testbed of each seed; models on the Hub are downloaded.

        Raises:
            SstError: a model or file is not there.
        """
        known = fingerprint("base", self.base)
        utility = expert("utility", self.utility, self.base)
        safety = expert("safety", self.safety, self.base)
        files = (*self.rows.harm, *self.rows.benign, *self.rows.prompts)
        rows = replace(self.rows, hashes={file: sha256(Path(file)) for file in files})
        more = rows, self.tasks, self.loading, self.batch_size
        return [OwnTestbed(seed, self.base, known, utility, safety, *more) for seed in self.seeds]


def load(path: Path, body: Any = None) -> Study:
    """Return the study in a YAML file, or in `body` as if it stood there; relative paths are from its folder.

    Raises:
        SstError: it cannot be read, or a key is missing, unknown or holds what it cannot.
    """
    body = read_yaml(path, "'study --init' writes one") if body is None else body
    try:
        return _study(path, body)
    except SstError as error:
        raise SstError(f"{path}: {error}") from None


def _study(path: Path, body: Any) -> Study:
    root, top = path.absolute().parent, Section("", body)
    base = _place(root, top.text("base"))
    budget = top.whole("budget", least=4) if top.has("budget") else 16
    if budget % 4:
        raise top.fault("budget", "a multiple of 4, so that every method tries as many settings")
    names = known_methods(top.words("methods") if top.has("methods") else METHODS, "methods")
    found = Study(
        body=body,
        name=Path(base).name,
        base=base,
        utility=_expert(root, top, "utility"),
        safety=_expert(root, top, "safety"),
        rows=_rows(root, top.section("calibration")),
        tasks=_tasks(root, top),
        tuning=Tuning(budget, STEPS, _rates(budget), names, _choice(top), FEW_RATES),
        seeds=tuple(top.wholes("seeds", 0)) if top.has("seeds") else (0,),
        out=Path(_place(root, top.text("out"), there=False)),
        loading=Loading(top.choice("dtype", DTYPES, "float32"), _device(top)),
        batch_size=top.whole("batch_size") if top.has("batch_size") else 16,
    )
    top.finish()
    return found


def _rows(root: Path, part: Section) -> Calibration:
    files = _files(root, part, "harm")[0], *_files(root, part, "benign")
    found = Calibration(*files, hashes={}, **{key: part.whole(key) for key in NUMBERS if part.has(key)})
    part.finish()
    return found


def _rates(budget: int) -> tuple[float, ...]:
    """Return as many learning rates as make the budget with the steps, evenly in proportion."""
    count = budget // len(STEPS)
    low, high = RATES
    return tuple(float(f"{low * (high / low) ** (i / max(1, count - 1)):.3g}") for i in range(count))


def _device(top: Section) -> str:
    from sst_mergekit.statistics.loading import default_device

    return top.text("device") if top.has("device") else default_device()


def _choice(top: Section) -> Choice:
    if not top.has("choose"):
        return Choice()
    if top.value("choose") == "hypervolume":
        return Choice("hypervolume")
    part = top.section("choose")
    keys = part.keys()
    if len(keys) != 1 or keys[0] not in ("safety", "tax", "hypervolume"):
        raise top.fault("choose", "one of {safety: SHARE}, {tax: NUMBER} and hypervolume")
    level = part.value(keys[0])
    if keys[0] == "hypervolume":
        return Choice("hypervolume")
    if isinstance(level, bool) or not isinstance(level, int | float) or not 0 <= level <= 1:
        raise part.fault(keys[0], "a number from 0 to 1")
    return Choice(keys[0], float(level))


def _tasks(root: Path, top: Section) -> Tasks:
    part = top.section("tasks")
    safety, utility = (parsed(f"tasks.{side}", _list(part, side)) for side in ("safety", "utility"))
    include = _list(part, "include_path") if part.has("include_path") else []
    data = _place(root, part.text("data_dir")) if part.has("data_dir") else None
    samples = part.whole("samples") if part.has("samples") else None
    part.finish()
    share, folders = None, (data, data)
    if top.has("split"):
        split = top.section("split")
        dev = split.value("dev")
        if isinstance(dev, str):
            folders = _place(root, dev), _place(root, split.text("test"))
        elif isinstance(dev, float) and 0 < dev < 1:
            share = dev
        else:
            raise split.fault("dev", "a share above 0 and below 1, or a folder (and test: another)")
        split.finish()
    elif all(metric.dev == metric.test for metric in (*safety, *utility)):
        share = 0.3
    paths = tuple(_place(root, path) for path in include)
    return Tasks(safety, utility, paths, folders, share, samples)


def _list(part: Section, key: str) -> list[Any]:
    value = part.value(key)
    if not isinstance(value, list) or not value:
        raise part.fault(key, "a list")
    return value


def _files(root: Path, part: Section, key: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the files of conversations, and those of prompts alone, at a key."""
    value = part.value(key)
    rows, prompts = [], []
    for entry in value if isinstance(value, list) else [value]:
        if isinstance(entry, str):
            rows.append(_place(root, entry))
        elif key == "benign" and isinstance(entry, Mapping) and set(entry) == {"prompts"}:
            prompts.append(_place(root, str(entry["prompts"])))
        else:
            more = ", or {prompts: FILE}" if key == "benign" else ""
            raise part.fault(key, f"a file or a list of files{more}")
    if not rows:
        raise part.fault(key, "at least one file of conversations")
    for file in (*rows, *prompts):
        if not Path(file).is_file():
            raise SstError(f"{part.at(key)}: {file}: no such file")
    return tuple(rows), tuple(prompts)


def _expert(root: Path, top: Section, role: str) -> Any:
    if isinstance(top.value(role), str):
        return _place(root, top.text(role))
    part = top.section(role)
    file = _place(root, part.text("train"))
    if not Path(file).is_file():
        raise SstError(f"{part.at('train')}: {file}: no such file")
    options: dict[str, Any] = {key: part.value(key) for key in TRAINING if part.has(key)}
    for key in options:
        if key != "learning_rate":
            part.whole(key)
        elif not isinstance(options[key], float) or options[key] <= 0:
            raise part.fault(key, "a number above 0, as in 2.0e-4")
    part.finish()
    return {"train": file, **options}


def _place(root: Path, text: str, there: bool = True) -> str:
    """Return a path from the file's folder, absolute; a Hub id as it is."""
    path = expanded(text)
    if not path.is_absolute():
        path = root / path
    return str(path) if path.exists() or not there or text.startswith((".", "/", "~")) else text


def fingerprint(role: str, place: str, adapters: bool = False) -> str:
    """Return what the weights at a place are known by; a model on the Hub is downloaded.

    Raises:
        SstError: there is no such model.
    """
    try:
        return weights_of(place, adapters)
    except SstError as error:
        raise SstError(f"{role}: {error}") from None


def expert(role: str, given: Any, base: str) -> Expert:
    """Return an expert as its testbed knows it.

    Raises:
        SstError: it is not there, or an adapter of another base.
    """
    if isinstance(given, Mapping):
        options = {key: value for key, value in given.items() if key != "train"}
        return Expert(None, sha256(Path(given["train"])), True, given["train"], options)
    known = fingerprint(role, given, adapters=True)
    return Expert(given, known, (local_model(given, adapters=True) / CONFIG).is_file())
