"""An lm-eval task as a user writes one: a choice of two words over a local file."""

from __future__ import annotations

import json
from pathlib import Path

TASK = """\
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: ["w1", "w2"]
doc_to_target: "{{{{answer}}}}"
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: brier_score, aggregation: brier_score, higher_is_better: false}}
metadata: {{version: 1.0}}
"""


def write_task(folder: Path, name: str, count: int, first: int = 0) -> None:
    """Write the task's YAML and its file, whose questions begin with number `first`."""
    file = folder / f"{name}.jsonl"
    rows = [{"question": f"w{n % 28} w{n // 28} w3", "answer": n % 2} for n in range(first, first + count)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / f"{name}.yaml").write_text(TASK.format(name=name, file=file))
