"""Texts whose language is known."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import zstandard

from pipeline.demo import content
from tests.pipeline.pages import text
from tests.shared import SAMPLE, SHARED

Labelled = tuple[str, str]  # language as BCP 47 has it, text


def declaration() -> list[Labelled]:
    """Article 1 of the Universal Declaration of Human Rights in 58 languages; nine in English."""
    lines = (SAMPLE / "languages/udhr.jsonl").read_text(encoding="utf-8").splitlines()
    return [(row["bcp47"], row["text"]) for row in map(json.loads, lines)]


def demo() -> list[Labelled]:
    """The demo's prose, in seven languages."""
    return [
        (page.lang, " ".join(text(post.html) for post in content.posts(page)))
        for page in content.pages().values()
        if len(page.body) > 100
    ]


def declarations() -> list[Labelled]:
    """The whole Declaration in 532 versions."""
    return [(row["bcp47"], row["text"]) for row in map(json.loads, _lines("langid/udhr.ndjson.zst"))]


def sentences() -> list[Labelled]:
    """Sentences of 75 languages."""
    return [
        (Path(name).stem, line)
        for name, content in files()
        if "sentences" in name
        for line in content.splitlines()
        if len(line) >= 100
    ]


def files() -> Iterator[tuple[str, str]]:
    """Files of sentences, pairs of words and single words in 75 languages."""
    with (
        zstandard.open(SHARED / "langid/lingua-testdata.tar.zst", "rb") as raw,
        tarfile.open(fileobj=io.BytesIO(raw.read())) as archive,
    ):
        for member in archive:
            if file := archive.extractfile(member):
                yield member.name, file.read().decode()


def posts() -> list[str]:
    return [json.loads(line)["selftext"] for line in _lines("text/selfposts.ndjson.zst")]


def _lines(path: str) -> Iterator[str]:
    with zstandard.open(SHARED / path, "rt", encoding="utf-8") as file:
        yield from file
