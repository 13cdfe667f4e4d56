"""What goes into extraction and what comes out: a page, and its text or the reason why it was dropped."""

import msgspec

__all__ = ["DEFAULT_ENGINE", "Dropped", "Page", "Text"]

DEFAULT_ENGINE = "trafilatura"


class Page(msgspec.Struct, frozen=True):
    """A page as it was fetched, and what is to be done with it."""

    body: bytes  # content coding undone
    url: str  # the last one, after redirects; helps to find the date
    charset: str | None = None  # of the Content-Type header
    content_type: str | None = None  # the media type alone, in lower case
    fetched: str | None = None  # ISO date: no date of publication is later; None: today
    engine: str = DEFAULT_ENGINE
    english_only: bool = False  # drop, before extraction, what is certainly in another language
    min_words: int = 0  # drop, before extraction, what has fewer words
    drop_notices: bool = False  # drop what holds nothing but a known notice (`notices`)


class Text(msgspec.Struct, frozen=True, tag=True):
    """What is found in a page."""

    text: str
    title: str | None = None
    date: str | None = None  # of publication, ISO 8601 (YYYY-MM-DD)


class Dropped(msgspec.Struct, frozen=True, tag=True):
    """Why a page is dropped, as seen before extraction (`prefilter`) or after it (`notices`)."""

    reason: str
    text: str = ""  # a part of the page, to identify its language by
