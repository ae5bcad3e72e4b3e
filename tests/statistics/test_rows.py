import errno
import json
from pathlib import Path

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


def numbered(path, name, count):
    """A file of rows whose prompts say where they are from."""
    rows = [{"prompt": f"{name} {i}", "response": "answer"} for i in range(count)]
    return str(write(path / f"{name}.jsonl", rows))


def taken(read):
    """How many rows of each file there are, and the numbers of each in the order read."""
    found = {}
    for conversation in read:
        name, number = conversation.messages[0][1].split()
        found.setdefault(name, []).append(int(number))
    return found


@pytest.mark.parametrize(
    ("weights", "samples", "counts"),
    [
        ((3, 1), 16, (12, 4)),
        ((0.5, 0.5), 3, (2, 1)),  # as many as are asked for, whatever the rounding
        ((0.5, 0.5), 5, (2, 3)),
        ((1, 1), None, (25, 25)),  # of all rows there are
    ],
)
def test_weights_are_shares_of_the_samples(tmp_path, weights, samples, counts):
    files = numbered(tmp_path, "one", 40), numbered(tmp_path, "two", 10)
    sources = [Source(file, weight=weight) for file, weight in zip(files, weights, strict=True)]
    read = read_conversations(sources, samples, 0)
    assert tuple(map(len, taken(read).values())) == counts
    assert read == read_conversations(sources, samples, 0)
    assert list(taken(read)) == ["one", "two"]
    assert taken(read)["one"] == sorted(taken(read)["one"])
    if samples:
        assert read != read_conversations(sources, samples, 1)


def test_too_few_rows_are_taken_again(tmp_path):
    files = numbered(tmp_path, "many", 40), numbered(tmp_path, "few", 3)
    read = read_conversations([Source(file, weight=1.0) for file in files], 16, 0)
    found = taken(read)
    assert len(set(found["many"])) == 8
    assert sorted(found["few"].count(number) for number in range(3)) == [2, 3, 3]


def test_a_weight_alone_is_none(tmp_path):
    file = numbered(tmp_path, "one", 9)
    assert read_conversations(Source(file, weight=0.2), 4, 0) == read_conversations(Source(file), 4, 0)


@pytest.mark.parametrize("samples", [None, 7])
def test_without_weights_all_rows_count_alike(tmp_path, samples):
    files = [Path(numbered(tmp_path, name, count)) for name, count in (("one", 5), ("two", 15))]
    joined = tmp_path / "joined.jsonl"
    joined.write_text("".join(file.read_text() for file in files))
    read = read_conversations([Source(str(file)) for file in files], samples, 0)
    assert read == read_conversations(Source(str(joined)), samples, 0)
    assert len(read) == (samples or 20)


def test_a_weight_for_each_or_for_none(tmp_path):
    files = numbered(tmp_path, "one", 4), numbered(tmp_path, "two", 4)
    sources = [Source(files[0], weight=1.0), Source(files[1])]
    with pytest.raises(DataError, match="1 weights for 2 data sets; give each one or none"):
        read_conversations(sources, None, 0)


def test_an_empty_file_among_several_is_named(tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    sources = [Source(numbered(tmp_path, "one", 4)), Source(str(tmp_path / "empty.jsonl"))]
    with pytest.raises(DataError, match="empty.jsonl: holds no rows"):
        read_conversations(sources, None, 0)


OPEN = [
    {"prompt": "q"},
    {"prompt": "q", "response": None},
    {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]},
]


@pytest.mark.parametrize("row", OPEN)
def test_prompts_without_a_response_are_read_where_they_are_answered(tmp_path, row):
    source = Source(write(tmp_path / "rows.jsonl", [row, ROWS[0]]))
    first, second = read_conversations(source, None, 0, unanswered=True)
    assert (first.messages[-1], first.answered) == (("user", "q"), False)
    assert second.answered
    with pytest.raises(DataError, match=r"row 1: (field 'response' is missing|the last message must be)"):
        read_conversations(source, None, 0)


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ({"prompt": " "}, "field 'prompt' is missing or empty"),
        ({"prompt": "q", "response": ""}, "field 'response' is missing or empty"),
        ({"response": "a"}, "field 'prompt' is missing or empty"),
        ({"messages": [{"role": "user", "content": " "}]}, "the last message must be"),
        ({"messages": [{"role": "system", "content": "s"}]}, "the last message must be"),
    ],
)
def test_what_cannot_be_answered_is_refused(tmp_path, row, match):
    source = Source(write(tmp_path / "rows.jsonl", [row]))
    with pytest.raises(DataError, match=match):
        read_conversations(source, None, 0, unanswered=True)


@pytest.mark.parametrize(
    "row",
    [
        {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "a"}]},
                {"role": "assistant", "content": [{"type": "text", "text": ""}, {"text": "b"}]},
            ]
        },
    ],
)
def test_sharegpt_and_lists_of_parts_are_read(tmp_path, row):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row))
    (found,) = read_conversations(Source(str(path)), None, 0)
    assert found.messages == (("user", "a"), ("assistant", "b"))
    assert found.where == f"{path}: row 1"
