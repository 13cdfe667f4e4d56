"""What goes into extraction and what comes out of it: a page, and its text or why it was dropped."""

import msgspec


class Page(msgspec.Struct, frozen=True):
    """What an engine is given."""

    body: bytes  # after content decoding
    url: str  # where it was in the end: helps to find the date
    charset: str | None = None  # of the Content-Type header
    content_type: str | None = None
    fetched: str | None = None  # ISO date: no date of publication is later
    engine: str = "trafilatura"
    english: bool = False  # whether to drop early what is certainly in another language
    min_words: int = 0  # whether to drop early what has fewer words
    boilerplate: bool = False  # whether to drop what holds nothing but known notices


class Text(msgspec.Struct, frozen=True, tag=True):
    """What is found in a page."""

    text: str
    title: str | None = None
    date: str | None = None  # ISO 8601


class Dropped(msgspec.Struct, frozen=True, tag=True):
    """Why the text of a page was not sought, or is none."""

    reason: str
    text: str = ""  # a part of the page's, to tell its language by
