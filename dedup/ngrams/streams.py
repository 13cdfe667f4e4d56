"""One long text, of the lines of a file, in pieces of bounded size that have the same n-grams."""

import itertools
from collections.abc import Iterable, Iterator

from dedup.words import normalize

__all__ = ["CHUNK_CHARACTERS", "pieces"]

CHUNK_CHARACTERS = 1 << 20  # of text that is held at a time


def pieces(lines: Iterable[str], n: int) -> Iterator[str]:
    """A stream of lines in pieces of some megabytes and at least n words.

    Each begins with the last n words of the one before, on a line of their own, so that together the pieces
    have the n-grams of the stream.
    """
    parts, size = [], 0
    for block in itertools.chain.from_iterable(map(_blocks, lines)):
        parts.append(block)
        size += len(block)
        if size > CHUNK_CHARACTERS:
            piece, size = "\n".join(parts), 0
            if len(last := _last_words(piece, n)) == n:
                yield piece
                parts = [" ".join(last)]
    yield "\n".join(parts)


def _blocks(line: str) -> Iterator[str]:
    """A line; if very long, in blocks that end at a space."""
    start = 0
    while len(line) - start > CHUNK_CHARACTERS and (space := line.find(" ", start + CHUNK_CHARACTERS)) > 0:
        yield line[start:space]
        start = space
    yield line[start:]


def _last_words(text: str, n: int) -> list[str]:
    words = normalize(text[-1000 * n :]).split()[1:]  # the first may be cut
    return (words if len(words) >= n else normalize(text).split())[-n:]
