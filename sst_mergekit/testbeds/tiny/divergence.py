"""How far a model is from the utility expert: KL on benign rows of which none is a calibration row."""

from __future__ import annotations

import json
import random
from pathlib import Path

from sst_mergekit.files import write_text
from sst_mergekit.testbeds.candidates import Candidate
from sst_mergekit.testbeds.tiny import data
from sst_mergekit.testbeds.tiny.content import make_world

ROWS, BATCH = 256, 64


def held_out(world: Path, seed: int) -> Path:
    """Return the file of the world's held-out benign rows, written now where it is not there."""
    path = world / "held_out" / "benign.jsonl"
    if not path.is_file():
        lines = (world / "calibration" / "benign.jsonl").read_text(encoding="utf-8").splitlines()
        known = {json.loads(line)["prompt"] for line in lines}
        rng = random.Random(f"held-out benign {seed}")  # noqa: S311
        rows = data.draw_rows(make_world(seed), data.BENIGN, ROWS, known, rng)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def divergence(candidate: Candidate, utility: Path, rows: Path, file: Path) -> float:
    """Return ``KL(utility expert || candidate)`` in nats a response token, from `file` where it is there.

    Args:
        candidate: what is held against the expert.
        utility: the expert's checkpoint.
        rows: conversations; their prompts are seen, the mean is over the tokens of their responses.
        file: JSON, where the value is kept.
    """
    from sst_mergekit.inspection.truth import Divergence
    from sst_mergekit.merging.recipe import quiet_libraries
    from sst_mergekit.statistics.loading import ModelSpec, load_model
    from sst_mergekit.statistics.rows import Source
    from sst_mergekit.statistics.sequences import read_sequences

    if file.is_file():
        return float(json.loads(file.read_text(encoding="utf-8")))
    quiet_libraries()
    spec = ModelSpec(str(utility))
    sequences = read_sequences(spec, Source(str(rows)), None, 0, 256, None).sequences
    with candidate.checkpoint() as (model, adapter):
        other = ModelSpec(str(model), str(adapter) if adapter else None)
        whole = Divergence(load_model(spec), sequences, BATCH).of(load_model(other))
    value = whole * len(sequences) / sum(sequence.predicted for sequence in sequences)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(value) + "\n")
    return value
