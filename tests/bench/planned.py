"""The README's table of passes, disk and computed time: what ``fisher --plan`` says of real models.

    python tests/bench/planned.py [NAME...]

prints it, of all or some, from the models' sizes alone. On a GPU, in bfloat16; 512 sequences of 512 tokens,
half of each the response; 400 TFLOP/s in the model and 40 in float32 sums.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from seed_models import SIZES, config  # noqa: E402

from sst_mergekit.errors import StatisticsError  # noqa: E402
from sst_mergekit.statistics.planning import plan  # noqa: E402
from sst_mergekit.statistics.settings import Form, ModelSpec, Options  # noqa: E402
from sst_mergekit.statistics.speed import Speed  # noqa: E402

FORMS = {"`kronecker`": None, "the same, `--factor-rank 256`": 256}
BOUNDS = (24, 80)
SPEED = Speed(400e12, 40e12)
HEAD = "| model, statistics | disk | passes in 24 GB | s a step, all | passes in 80 GB | s a step, all |"


def lines(names: Iterable[str]) -> Iterator[str]:
    """Yield the table of some models."""
    yield HEAD
    yield "|---" * 6 + "|"
    for name in names:
        for told, rank in FORMS.items():
            cells = [cell for bound in BOUNDS for cell in _cells(name, rank, bound)]
            yield f"| {name}, {told} | {cells[0] or cells[3]} | {' | '.join([*cells[1:3], *cells[4:]])} |"


def _cells(name: str, rank: int | None, bound: int) -> tuple[str, str, str]:
    """Return disk, passes and batch size, and seconds; none of the first where the model does not fit."""
    options = Options("kronecker", Form(factor_rank=rank), device="cuda", max_memory=bound * 10**9)
    with tempfile.TemporaryDirectory() as folder:
        config(name).save_pretrained(folder)
        spec = ModelSpec(folder, dtype="bfloat16", device="cuda")
        try:
            found = plan(spec, None, options, samples=512, max_length=512, speed=SPEED)
        except StatisticsError as error:
            if "the widest layer needs" not in str(error):
                raise
            return "", "does not fit", ""
    passes = f"{found.passes}, batches of {found.batch_size}"
    return f"{found.disk / 1e9:.1f} GB", passes, f"{found.facts()['step_seconds']:.2f}, {found.seconds:.0f}"


if __name__ == "__main__":
    for line in lines(sys.argv[1:] or SIZES):
        print(line, flush=True)
