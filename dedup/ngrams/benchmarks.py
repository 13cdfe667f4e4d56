"""Reading test sets.

Which fields of a row are its text, and whether the file is one stream, is told by the caller, or by
`registry.json` for files of well-known benchmarks, or guessed from the names of the fields.
"""

import fnmatch
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from typing import Any

from dedup.files import FileError, Row, rows_of, uncompressed
from dedup.words import normalize

GUESSES = ("text", "content", "question", "prompt", "query", "sentence", "premise", "passage", "context")
_AT_ONCE = 1 << 20  # characters of a training set that are held
IDS = ("id", "task_id", "example_id", "ind", "idx")


@dataclass(frozen=True)
class Benchmark:
    """A test set. A stream (a language-modelling split) is one text; of others each example is a text.

    ids, texts: of the examples, equally many. fields: of a row, joined by line breaks; none for text files.
    """

    name: str
    source: str
    ids: Sequence[str]
    texts: Sequence[str]
    stream: bool = False
    fields: Sequence[str] = ()


@dataclass(frozen=True)
class Known:
    """An entry of the registry: `files` are patterns of the last three parts of a lower-case path."""

    name: str
    files: Sequence[str]
    fields: Sequence[str] = ()
    stream: bool = False


@cache
def registry() -> tuple[Known, ...]:
    """The well-known benchmarks."""
    entries = json.loads(resources.files("dedup.ngrams").joinpath("registry.json").read_text("utf-8"))
    return tuple(Known(**entry) for entry in entries)


def read(
    url: str, *, name: str | None = None, fields: Sequence[str] | None = None, stream: bool | None = None
) -> Benchmark:
    """Reads a test set from an fsspec path.

    fields: dotted paths into a row (`choices.text`), through lists too; what they hold is text or lists of
    text. stream: by default true for text files and false for others; the examples of a text file are its
    lines.
    Raises OSError for a missing file, FileError for one that is not what it should be.
    """
    ids, texts = [], []
    with _opened(url, fields) as source:
        for number, (row, text) in enumerate(source.rows):
            if text.strip():
                ids.append(_id(row, number))
                texts.append(text)
    if not any(c.isalnum() for text in texts for c in text):
        raise FileError(f"{url}: no text in {_named(source.fields) if source.fields else 'the file'}")
    if stream is None:
        stream = source.stream
    if stream:
        ids, texts = [""], ["\n".join(texts)]
    return Benchmark(name or source.name, url, ids, texts, stream, source.fields)


def batches(url: str, n: int) -> Iterator[list[str]]:
    """The texts of a training set in a file, some megabytes at a time: by the rules of `read`.

    n: a stream comes in pieces, each of which begins with the last n words of the one before, so that they
    have the n-grams of the stream and no others. Raises what `read` raises, also while texts are taken.
    """
    with _opened(url, None) as source:
        texts = (text for _, text in source.rows)
        if source.stream:
            for piece in _pieces(texts, n):
                yield [piece]
            return
        batch, size = [], 0
        for text in texts:
            batch.append(text)
            size += len(text)
            if size > _AT_ONCE:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch


@dataclass(frozen=True)
class _Source:
    """An open file: its rows with their texts, one at a time."""

    name: str
    fields: list[str]
    stream: bool
    rows: Iterator[tuple[Row, str]]


@contextmanager
def _opened(url: str, asked: Sequence[str] | None) -> Iterator[_Source]:
    with rows_of(url) as rows:
        first = next(rows, None)
        if first is None:
            raise FileError(f"{url}: the file is empty")
        known = _known(url, first)
        fields = _fields(url, first, asked, known)
        texts = (
            (row, _text(f"{url}, row {number}", row, fields))
            for number, row in enumerate(itertools.chain([first], rows), 1)
        )
        name = known.name if known else PurePosixPath(uncompressed(url)).stem
        yield _Source(name, fields, known.stream if known else isinstance(first, str), texts)


def _pieces(lines: Iterable[str], n: int) -> Iterator[str]:
    """One stream in pieces of n words at least, each beginning with the last n of the one before."""
    parts, size = [], 0
    for block in itertools.chain.from_iterable(map(_blocks, lines)):
        parts.append(block)
        size += len(block)
        if size > _AT_ONCE:
            piece, size = "\n".join(parts), 0
            if len(last := _last_words(piece, n)) == n:
                yield piece
                parts = [" ".join(last)]
    yield "\n".join(parts)


def _blocks(line: str) -> Iterator[str]:
    """A line, or a very long one in blocks, cut at spaces."""
    start = 0
    while len(line) - start > _AT_ONCE and (space := line.find(" ", start + _AT_ONCE)) > 0:
        yield line[start:space]
        start = space
    yield line[start:]


def _last_words(text: str, n: int) -> list[str]:
    words = normalize(text[-1000 * n :]).split()[1:]  # the first may be cut
    return (words if len(words) >= n else normalize(text).split())[-n:]


def _known(url: str, row: Row) -> Known | None:
    """The entry of the registry for a file: of several the first whose fields the row has."""
    entries = [k for k in registry() if any(fnmatch.fnmatch(_tail(url), pattern) for pattern in k.files)]
    fitting = [k for k in entries if not isinstance(row, str) and k.fields and _has(row, k.fields)]
    return next(iter(fitting or entries), None)


def _fields(url: str, row: Row, asked: Sequence[str] | None, known: Known | None) -> list[str]:
    """The fields to read: what the caller asks for, else what the registry knows, else a guess."""
    if isinstance(row, str):
        if asked:
            raise FileError(f"{url}: a text file has no field {_named(asked)}")
        return []
    if asked:
        missing = [name for name in asked if _find(row, name) is None]
        if missing:
            raise FileError(f"{url}: no field {_named(missing)}; the fields are {_named(row)}")
        return list(asked)
    if known and known.fields and _has(row, known.fields):
        return list(known.fields)
    names = {name.lower(): name for name in row}
    guess = next((names[name] for name in GUESSES if name in names), None)
    if guess is None:
        raise FileError(
            f"{url}: which field is the text? Name it with `fields`; the fields are {_named(row)}"
        )
    return [guess]


def _text(place: str, row: Row, fields: Sequence[str]) -> str:
    parts = [row] if isinstance(row, str) else []
    for name in fields:
        assert not isinstance(row, str)
        found = _find(row, name)
        if found is None:
            raise FileError(f"{place}: no field {_named([name])}; the fields are {_named(row)}")
        for part in _flat(found[0]):
            if not isinstance(part, str):
                kind = type(part).__name__
                raise FileError(f"{place}: field '{name}' holds {kind}, expected text or lists of text")
            parts.append(part)
    # an escaped half of a surrogate pair is valid JSON, but no text
    return "\n".join(parts).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _has(row: Mapping[str, Any], fields: Sequence[str]) -> bool:
    return all(_find(row, name) is not None for name in fields)


def _find(row: Any, path: str) -> tuple[Any] | None:
    """What a row holds at a dotted path; of lists on the way all that have it."""
    if isinstance(row, list):
        found = [value for item in row if (value := _find(item, path))]
        return ([value for (value,) in found],) if found else None
    if not isinstance(row, Mapping):
        return None
    if path in row:
        return (row[path],)
    head, dot, rest = path.partition(".")
    return _find(row.get(head), rest) if dot else None


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _flat(item)
    elif value is not None:
        yield value


def _id(row: Row, number: int) -> str:
    named = None if isinstance(row, str) else next((row[name] for name in IDS if name in row), None)
    return str(named) if isinstance(named, str | int) else str(number)


def _named(names: Sequence[str] | Mapping[str, Any]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _tail(url: str) -> str:
    return "/".join(PurePosixPath(uncompressed(url)).parts[-3:]).lower()
