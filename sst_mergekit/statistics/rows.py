"""Reading prompts and responses: a local file or a Hub data set, in one of two shapes."""

from __future__ import annotations

import hashlib
import json
import random
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, TypeVar

from sst_mergekit.errors import DataError, is_of_the_machine
from sst_mergekit.files import expanded

_SPEAKERS = {"human": "user", "gpt": "assistant", "model": "assistant", "bot": "assistant"}  # ShareGPT's
SHAREGPT = "conversations"
_LOADERS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}


@dataclass(frozen=True)
class Source:
    """Where rows come from and which fields they have.

    Attributes:
        location: a local .jsonl, .json, .csv or .parquet file, or a Hub data set id (``id@revision``).
        split, config: of a Hub data set.
        prompt_field, response_field: names of the two text fields.
        messages_field: name of a field of chat messages (else ShareGPT's ``conversations``); used where a row
            has it. The last message is the response.
        weight: its share among several sources; None: all rows of all sources count alike.
    """

    location: str
    split: str = "train"
    config: str | None = None
    prompt_field: str = "prompt"
    response_field: str = "response"
    messages_field: str = "messages"
    weight: float | None = None


@dataclass(frozen=True)
class Conversation:
    """Chat messages whose last one is the response that is measured, unless it is still to be given.

    Attributes:
        messages: (role, content) of each.
        where: file and row, for errors.
    """

    messages: tuple[tuple[str, str], ...]
    where: str = field(default="", compare=False)

    @property
    def answered(self) -> bool:
        """Return whether the last message is a response."""
        return self.messages[-1][0] == "assistant"

    def as_dicts(self) -> list[dict[str, str]]:
        """Return the messages as chat templates want them."""
        return [{"role": role, "content": content} for role, content in self.messages]


def read_conversations(
    source: Source | Iterable[Source], samples: int | None, seed: int, unanswered: bool = False
) -> list[Conversation]:
    """Return ``samples`` conversations (all of them if None), chosen by ``seed``, in file order.

    Args:
        source: one, or several. With weights each has its share of the samples, and one of too few rows has
            them taken again; without, the samples are chosen from the rows of all.
        samples: how many.
        seed: chooses them.
        unanswered: take rows without a response too.

    Raises:
        DataError: the file, a field or the data set is missing, no row is usable, or weights are not given
            for every source.
    """
    sources = [source] if isinstance(source, Source) else list(source)
    found = [(each, index, row) for each in sources for index, row in enumerate(_rows_of(each))]
    random_ = random.Random(seed)  # noqa: S311  (not for secrecy)
    weights = [each.weight for each in sources if each.weight is not None]
    if len(weights) not in (0, len(sources)):
        raise DataError(f"{len(weights)} weights for {len(sources)} data sets; give each one or none")
    if weights and len(sources) > 1:
        total = len(found) if samples is None else samples
        ends = [round(total * part / sum(weights)) for part in accumulate(weights)]
        shares = [end - start for start, end in pairwise([0, *ends])]
        parts = [[one for one in found if one[0] is each] for each in sources]
        chosen = [
            one for part, share in zip(parts, shares, strict=True) for one in _drawn(part, share, random_)
        ]
    else:
        chosen = found if samples is None else _drawn(found, min(samples, len(found)), random_)
    return [_conversation(*one, unanswered) for one in chosen]


Item = TypeVar("Item")


def _drawn(items: list[Item], count: int, random_: random.Random) -> list[Item]:
    """Return `count` of the items in their order; all of them again and again where there are too few."""
    again, rest = divmod(count, len(items))
    return items * again + [items[i] for i in sorted(random_.sample(range(len(items)), rest))]


def _rows_of(source: Source) -> list[dict[str, Any]]:
    rows = list(_rows(source))
    if not rows:
        raise DataError(f"{source.location}: holds no rows")
    return rows


def content_hash(conversations: Iterable[Conversation]) -> str:
    """Return the SHA-256 of the conversations' text, whatever file they came from."""
    digest = hashlib.sha256()
    for conversation in conversations:
        digest.update(json.dumps(conversation.messages, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()


def prompt_hash(prompt: str) -> str:
    """Return 16 hex digits of the SHA-256 of a prompt, whatever its case, width and blanks.

    Enough to tell whether two data sets share a prompt, without holding its text.

    >>> prompt_hash("Who  are you?\\n") == prompt_hash("who are you?")
    True
    """
    normal = " ".join(unicodedata.normalize("NFKC", prompt).casefold().split())
    return hashlib.sha256(normal.encode()).hexdigest()[:16]


def prompt_hashes(conversations: Iterable[Conversation]) -> list[str]:
    """Return the hashes of all that users say in the conversations, sorted and each once."""
    return sorted(
        {prompt_hash(text) for one in conversations for role, text in one.messages if role == "user"}
    )


def _rows(source: Source) -> Iterable[dict[str, Any]]:
    import datasets

    path = expanded(source.location)
    if path.is_file():
        loader = _LOADERS.get(path.suffix.lower())
        if loader is None:
            raise DataError(f"{path}: unknown file type; expected {', '.join(_LOADERS)}")
        if loader == "json" and path.suffix.lower() == ".jsonl":
            return _json_lines(path)
        try:
            return datasets.load_dataset(loader, data_files=str(path), split="train")  # type: ignore[return-value]
        except Exception as error:  # noqa: BLE001  (datasets raises many kinds)
            if is_of_the_machine(error):
                raise
            raise DataError(f"{path}: cannot be read as {loader} ({_first_line(error)})") from None
    if source.location.endswith(tuple(_LOADERS)) or source.location.startswith((".", "/", "~")):
        raise DataError(f"{source.location}: no such file")
    name, _, revision = source.location.partition("@")
    try:
        return datasets.load_dataset(  # type: ignore[return-value]
            name, source.config, split=source.split, revision=revision or None
        )
    except Exception as error:  # noqa: BLE001  (datasets and the Hub raise many kinds)
        if is_of_the_machine(error):
            raise
        raise DataError(
            f"{source.location}: neither a local file nor a data set that loads ({_first_line(error)})"
        ) from None


def _json_lines(path: Path) -> Iterable[dict[str, Any]]:
    rows = []
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = "nested too deeply" if isinstance(error, RecursionError) else error
            raise DataError(f"{path}:{number}: not valid JSON ({reason}); mend or remove the line") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number}: expected a JSON object, got {type(row).__name__}")
        rows.append(row)
    return rows


def _text(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: not UTF-8 ({error.reason}); save the file as UTF-8") from None


def _conversation(source: Source, index: int, row: dict[str, Any], unanswered: bool) -> Conversation:
    where = f"{source.location}: row {index + 1}"
    messages = row.get(source.messages_field) or row.get(SHAREGPT)
    if messages:
        return _writable(where, _from_messages(where, messages, unanswered))
    asked = ("user", row.get(source.prompt_field))
    if (
        unanswered
        and row.get(source.response_field) is None
        and isinstance(asked[1], str)
        and asked[1].strip()
    ):
        return _writable(where, Conversation((asked,), where))  # type: ignore[arg-type]
    for name, flag in ((source.prompt_field, "--prompt-field"), (source.response_field, "--response-field")):
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise DataError(
                f"{where}: field '{name}' is missing or empty (fields: {', '.join(map(str, row))}); "
                f"name it with {flag}, or give '{source.messages_field}'"
            )
    pairs = ("user", row[source.prompt_field]), ("assistant", row[source.response_field])
    return _writable(where, Conversation(pairs, where))


def _writable(where: str, conversation: Conversation) -> Conversation:
    """Return the conversation; raise DataError if a text of it is none: half of a surrogate pair."""
    for _, text in conversation.messages:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise DataError(
                f"{where}: holds half of a surrogate pair, which is no character; remove it"
            ) from None
    return conversation


def _from_messages(where: str, messages: Any, unanswered: bool) -> Conversation:
    try:
        pairs = tuple(_said(f"{where}: message {number}", each) for number, each in enumerate(messages, 1))
    except (TypeError, KeyError, AttributeError):
        raise DataError(
            f"{where}: messages must be a list of {{role, content}}, or of ShareGPT's {{from, value}}"
        ) from None
    if unanswered and pairs and pairs[-1][0] == "user" and pairs[-1][1].strip():
        return Conversation(pairs, where)
    if len(pairs) < 2 or pairs[-1][0] != "assistant" or not pairs[-1][1].strip():
        raise DataError(f"{where}: the last message must be a non-empty one of role 'assistant'")
    return Conversation(pairs, where)


def _said(where: str, message: Any) -> tuple[str, str]:
    """Return role and text of a message; the text parts of a list are joined."""
    if "role" in message:
        role, content = str(message["role"]), message["content"]
    else:
        role, content = str(message["from"]), message["value"]
        role = _SPEAKERS.get(role, role)
    if isinstance(content, list):
        others = [
            part for part in content if not isinstance(part, dict) or not isinstance(part.get("text"), str)
        ]
        if others:
            raise DataError(f"{where} has a part that is no text; images and sounds are not measured")
        content = "".join(part["text"] for part in content)
    if not isinstance(content, str):
        raise DataError(
            f"{where} ({role}) has content {json.dumps(content)[:40]}, expected a text; drop the row or the "
            "message (calls of tools are not measured)"
        )
    return role, content


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
