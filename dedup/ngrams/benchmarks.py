"""Benchmarks (test sets) from files.

The caller can say which fields of a row are its text, and whether a file is one stream. If not,
`registry.json` says it for files of well-known benchmarks; for others it is guessed from the field names.
"""

import fnmatch
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from typing import Any

from dedup.files import FileError, Row, rows_of, uncompressed
from dedup.ngrams.streams import CHUNK_CHARACTERS, pieces

__all__ = ["Benchmark", "KnownBenchmark", "read", "read_batches", "registry", "with_unique_names"]

GUESSES = ("text", "content", "question", "prompt", "query", "sentence", "premise", "passage", "context")
IDS = ("id", "task_id", "example_id", "ind", "idx")


@dataclass(frozen=True)
class Benchmark:
    """A test set: one text if it is a stream (a language-modelling split), else one text per example.

    ids, texts: of the examples, equally many. fields: whose values were joined by line breaks to make a text;
    none for text files.
    """

    name: str
    source: str
    ids: Sequence[str]
    texts: Sequence[str]
    stream: bool = False
    fields: Sequence[str] = ()


@dataclass(frozen=True)
class KnownBenchmark:
    """An entry of the registry. files: patterns for the last three parts of a path in lower case."""

    name: str
    files: Sequence[str]
    fields: Sequence[str] = ()
    stream: bool = False


@cache
def registry() -> tuple[KnownBenchmark, ...]:
    """The benchmarks that `registry.json` lists."""
    entries = json.loads(resources.files("dedup.ngrams").joinpath("registry.json").read_text("utf-8"))
    return tuple(KnownBenchmark(**entry) for entry in entries)


def read(
    url: str, *, name: str | None = None, fields: Sequence[str] | None = None, stream: bool | None = None
) -> Benchmark:
    """Reads a test set from an fsspec path (formats: `dedup.files`).

    fields: dotted paths into a row (`choices.text`), also through lists; their values are text or lists of
    text. stream: by default true for text files and false for others. The examples of a text file that is
    not a stream are its lines.

    Raises OSError for a missing file, FileError for a file without text or in another format than its name
    says.
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


def read_batches(url: str, n: int) -> Iterator[list[str]]:
    """The texts of a training set in a file, some megabytes at a time, by the rules of `read`.

    n: a stream comes in pieces. Each begins with the last n words of the one before, so that together they
    have the n-grams of the stream and no others. Raises what `read` raises, also during the iteration.
    """
    with _opened(url, None) as source:
        texts = (text for _, text in source.rows)
        if source.stream:
            for piece in pieces(texts, n):
                yield [piece]
            return
        batch, size = [], 0
        for text in texts:
            batch.append(text)
            size += len(text)
            if size > CHUNK_CHARACTERS:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch


@dataclass(frozen=True)
class _Source:
    """An open file: its rows with their texts, read one at a time."""

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


def with_unique_names(benchmarks: Sequence[Benchmark], others: Sequence[Benchmark] = ()) -> list[Benchmark]:
    """Benchmarks of the same name get that of their file, too; if these are the same, its path.

    others: benchmarks that keep their names.
    """
    renamed = list(benchmarks)
    for where in (lambda b: PurePosixPath(b.source).name, lambda b: b.source):
        names = Counter(b.name for b in (*renamed, *others))
        renamed = [
            replace(b, name=f"{b.name} ({where(b)})") if names[now.name] > 1 else now
            for b, now in zip(benchmarks, renamed, strict=True)
        ]
    return renamed


def _known(url: str, row: Row) -> KnownBenchmark | None:
    """The registry's entry for a file; of several the first whose fields the row has."""
    entries = [k for k in registry() if any(fnmatch.fnmatch(_tail(url), pattern) for pattern in k.files)]
    fitting = [k for k in entries if not isinstance(row, str) and k.fields and _has(row, k.fields)]
    return next(iter(fitting or entries), None)


def _fields(url: str, row: Row, asked: Sequence[str] | None, known: KnownBenchmark | None) -> list[str]:
    """The fields to read: those the caller names, else the registry's, else a guess."""
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
    """The value at a dotted path, as a tuple of one; None if there is none. Lists on the way are searched."""
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
