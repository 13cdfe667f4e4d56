"""The stage `extract`: from a page's bytes to its text, each page in a child process under limits.

An engine is a function from characters to text, entered in `ENGINES`. Plain text goes past them. Text is
Unicode NFC (canonically equivalent, and what trafilatura's own output is in: words and tokens must not depend
on how a site spells its accents), without control characters and lone surrogates, with "\\n" between
paragraphs.

Dates come from the page's metadata and markup (htmldate's quick search). Its extensive search reads the
whole text for anything like a date: 5 to 40 ms more a page, for one page in nine that would have no date.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec
import trafilatura

from pipeline.charset import decode
from pipeline.sandbox import Outcome, Sandbox

if TYPE_CHECKING:
    from pipeline.settings import Extract

PLAIN = "text/plain"
FORBIDDEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")


class Page(msgspec.Struct, frozen=True):
    """What an engine is given."""

    body: bytes  # after content decoding
    url: str  # where it was in the end: helps to find the date
    charset: str | None = None  # of the Content-Type header
    content_type: str | None = None
    fetched: str | None = None  # ISO date: no date of publication is later
    engine: str = "trafilatura"


class Text(msgspec.Struct, frozen=True):
    """What is found in a page."""

    text: str
    title: str | None = None
    date: str | None = None  # ISO 8601


def extract(pages: Iterable[Page], settings: "Extract") -> Iterator[Outcome[Text]]:
    """What becomes of each page, in order: `ok` or one of the failures of `pipeline.sandbox`.

    Lazy: holds two pages at a time.
    """
    with Sandbox(
        extract_page,
        deadline=settings.deadline,
        memory_limit=settings.memory_limit,
        recycle_after=settings.recycle_after,
    ) as sandbox:
        yield from sandbox.map(pages)


def extract_page(page: Page) -> Text | None:
    """The text of a page, None if there is none. Whatever an engine raises is passed on."""
    characters = decode(page.body, page.charset)
    found = Text(characters) if page.content_type == PLAIN else ENGINES[page.engine](characters, page)
    if found is None or not (text := clean(found.text)):
        return None
    return Text(text, " ".join(clean(found.title or "").split()) or None, found.date)


def clean(text: str) -> str:
    """Text in NFC that is valid UTF-8, without control characters, with single kinds of line ends."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n")
    return unicodedata.normalize("NFC", FORBIDDEN.sub("", text)).strip()


def _trafilatura(characters: str, page: Page) -> Text | None:
    """trafilatura with its fallbacks, without readers' comments; `deduplicate` would couple documents."""
    document = trafilatura.bare_extraction(
        characters,
        url=page.url,
        include_comments=False,
        deduplicate=False,
        with_metadata=True,
        date_extraction_params={"original_date": True, "extensive_search": False, "max_date": page.fetched},
    )
    if document is None or isinstance(document, dict):
        return None
    return Text(document.text or "", document.title, document.date)


ENGINES: dict[str, Callable[[str, Page], Text | None]] = {"trafilatura": _trafilatura}
