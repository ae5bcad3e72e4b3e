import errno
import json

import datasets
import pytest

from sst_mergekit.errors import DataError, one_line
from sst_mergekit.statistics.rows import Source, content_hash, read_conversations

ROWS = [{"prompt": f"question {i}", "response": f"answer {i}"} for i in range(20)]


def write(path, rows):
    if path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    else:
        import pandas

        frame = pandas.DataFrame(rows)
        frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
    return str(path)


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet"])
def test_every_file_type_gives_the_same_conversations(tmp_path, suffix):
    read = read_conversations(Source(write(tmp_path / f"rows{suffix}", ROWS)), None, 0)
    assert [c.messages for c in read] == [(("user", r["prompt"]), ("assistant", r["response"])) for r in ROWS]
    twin = read_conversations(Source(write(tmp_path / "twin.jsonl", ROWS)), None, 0)
    assert content_hash(read) == content_hash(twin)


def test_samples_are_chosen_by_the_seed_in_file_order(tmp_path):
    source = Source(write(tmp_path / "rows.jsonl", ROWS))
    one = read_conversations(source, 5, 0)
    assert len(one) == 5
    assert one == read_conversations(source, 5, 0)
    assert one != read_conversations(source, 5, 1)
    numbers = [int(c.messages[0][1].split()[1]) for c in one]
    assert numbers == sorted(numbers)
    assert len(read_conversations(source, 500, 0)) == 20


def test_messages_and_other_field_names(tmp_path):
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "q"}]
    rows = [{"messages": [*messages, {"role": "assistant", "content": "a"}]}, {"q": "x", "a": "y"}]
    read = read_conversations(
        Source(write(tmp_path / "r.jsonl", rows), prompt_field="q", response_field="a"), None, 0
    )
    assert [len(c.messages) for c in read] == [3, 2]
    assert read[0].as_dicts()[0] == {"role": "system", "content": "be brief"}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "holds no rows"),
        ('{"prompt": "a", "response": "b"}\n{oops\n', r"rows.jsonl:2: not valid JSON"),
        ("[1, 2]\n", r"rows.jsonl:1: expected a JSON object, got list"),
        (
            '{"question": "a", "response": "b"}\n',
            "row 1: field 'prompt' is missing .*question.*--prompt-field",
        ),
        ('{"prompt": "a", "response": " "}\n', "row 1: field 'response' is missing or empty"),
        ('{"prompt": "a", "response": 3}\n', "row 1: field 'response' is missing or empty"),
        ('{"messages": [{"role": "user", "content": "a"}]}\n', "the last message must be .* 'assistant'"),
        ('{"messages": ["a", "b"]}\n', "messages must be a list of {role, content}"),
    ],
)
def test_faults_name_file_row_and_field(tmp_path, text, match):
    path = tmp_path / "rows.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=match):
        read_conversations(Source(str(path)), None, 0)


def test_files_that_are_not_there_or_not_known(tmp_path):
    with pytest.raises(DataError, match="nowhere.jsonl: no such file"):
        read_conversations(Source("nowhere.jsonl"), None, 0)
    (tmp_path / "rows.txt").write_text("a")
    with pytest.raises(DataError, match="unknown file type; expected .jsonl"):
        read_conversations(Source(str(tmp_path / "rows.txt")), None, 0)
    (tmp_path / "rows.parquet").write_text("a")
    with pytest.raises(DataError, match="cannot be read as parquet"):
        read_conversations(Source(str(tmp_path / "rows.parquet")), None, 0)


def test_a_hub_data_set_that_cannot_be_had_is_one_clear_error():
    with pytest.raises(DataError, match="^user/nothing: neither a local file nor a data set that loads"):
        read_conversations(Source("user/nothing"), None, 0)


@pytest.mark.parametrize("location", ["rows.csv", "user/rows"])
def test_a_full_disk_is_no_fault_of_the_data(tmp_path, monkeypatch, location):
    def full(*_args, **_more):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise datasets.exceptions.DatasetGenerationError("An error occurred") from error

    monkeypatch.setattr(datasets, "load_dataset", full)
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "rows.csv", ROWS)
    with pytest.raises(datasets.exceptions.DatasetGenerationError) as found:
        read_conversations(Source(location), None, 0)
    assert one_line(found.value).startswith("no space left on the disk")


def test_the_hash_is_of_the_text(tmp_path):
    read = read_conversations(Source(write(tmp_path / "rows.jsonl", ROWS)), None, 0)
    other = read_conversations(
        Source(write(tmp_path / "other.jsonl", [*ROWS[:-1], {"prompt": "x", "response": "y"}])), None, 0
    )
    assert content_hash(read) != content_hash(other)
