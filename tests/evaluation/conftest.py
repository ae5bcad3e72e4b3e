from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from lm_eval import tasks as lm_eval_tasks
from small_more import write_more_data
from small_tasks import CAPITALS, write_small_data


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_more_data(write_small_data(tmp_path_factory.mktemp("small_data")))


@pytest.fixture
def checkers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let lm-eval's IFEval run offline: its packages, and an empty folder in place of nltk's tokenizer.

    The small rows hold no instruction that counts sentences, which alone reads the tokenizer.
    """
    pytest.importorskip("langdetect", reason="IFEval's packages are optional")
    pytest.importorskip("immutabledict", reason="IFEval's packages are optional")
    nltk = pytest.importorskip("nltk", reason="IFEval's packages are optional")
    (tmp_path / "nltk/tokenizers/punkt_tab").mkdir(parents=True)
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path / "nltk")])


MY_TASK = """\
task: my_capitals
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: generate_until
doc_to_text: "Capital of {{{{land}}}}?"
doc_to_target: "{{{{land}}}}"
generation_kwargs: {{until: ["\\n"], max_gen_toks: 4}}
metric_list:
  - {{metric: exact_match, aggregation: mean, higher_is_better: true}}
filter_list:
  - {{name: none, filter: [{{function: take_first}}]}}
  - {{name: upper, filter: [{{function: uppercase}}, {{function: take_first}}]}}
"""


@pytest.fixture
def few_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of lm-eval's own 14,000 task files leave GSM8K's, over four small rows in place of the Hub's."""
    folder = tmp_path / "lm_eval_tasks"
    shutil.copytree(Path(lm_eval_tasks.__file__).parent / "gsm8k", folder / "gsm8k")
    rows = folder / "rows.jsonl"
    rows.write_text("".join(f'{{"question": "{n} + 1?", "answer": "So #### {n + 1}"}}\n' for n in range(8)))
    path = folder / "gsm8k/gsm8k.yaml"
    local = f"json\ndataset_kwargs: {{data_files: {{train: {rows}, test: {rows}}}}}"
    text = path.read_text().replace("openai/gsm8k", local).replace("dataset_name: main\n", "")
    path.write_text(text)
    monkeypatch.setattr(lm_eval_tasks.manager, "__file__", str(folder / "manager.py"))


@pytest.fixture
def mine(tmp_path: Path, few_defaults: None) -> Path:
    """A user's folder with a task over ten rows of a local file, and one that runs the model's programs."""
    folder = tmp_path / "mine"
    folder.mkdir()
    rows = folder / "rows.jsonl"
    rows.write_text("".join(json.dumps({"land": land}) + "\n" for land in CAPITALS))
    text = MY_TASK.format(rows=rows)
    (folder / "my_capitals.yaml").write_text(text)
    (folder / "my_programs.yaml").write_text(text.replace("my_capitals", "my_programs\nunsafe_code: true"))
    (folder / "my_group.yaml").write_text("group: my_group\ntask: [my_capitals]\n")
    return folder
