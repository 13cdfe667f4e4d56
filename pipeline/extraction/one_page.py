"""One page: from its bytes to its text.

An engine finds the text of HTML; plain text needs none. Text is Unicode NFC (canonically equivalent, and what
trafilatura's own output is in: words and tokens must not depend on how a site spells its accents), without
control characters and lone surrogates, with "\\n" between paragraphs.
"""

import re
import unicodedata

from pipeline.extraction import engines, notices
from pipeline.extraction.charset import decode
from pipeline.extraction.page import DEFAULT_ENGINE, Dropped, Page, Text
from pipeline.media_type import media_type

__all__ = ["clean", "extract_body", "extract_page"]

PLAIN = "text/plain"
_FORBIDDEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")


def extract_body(
    body: bytes, *, url: str | None, content_type: str | None, engine: str | None
) -> Text | None:
    """See `pipeline.extraction.extract`, which calls this."""
    if engine is not None and engine not in engines.ENGINES:
        raise ValueError(f"unknown engine {engine!r}; there are {', '.join(engines.ENGINES)}")
    kind, charset = media_type(content_type)
    page = Page(body, url or "", charset, kind, engine=engine or DEFAULT_ENGINE, drop_notices=True)
    engines.require(page.engine)
    found = extract_page(page)
    return found if isinstance(found, Text) else None


def extract_page(page: Page) -> Text | Dropped | None:
    """The text of a page, or why it is dropped; None if it has none. What the engine raises is passed on.

    This is the function that the pipeline's child processes run.
    """
    characters = decode(page.body, page.charset)
    plain = page.content_type == PLAIN
    found = Text(characters) if plain else engines.ENGINES[page.engine](characters, page)
    if not isinstance(found, Text):
        return found
    if not (text := clean(found.text)):
        return None
    kind, share = notices.classify(text) if page.drop_notices else (None, 0.0)
    if kind and share == 1:
        return Dropped(kind)
    return Text(text, " ".join(clean(found.title or "").split()) or None, found.date)


def clean(text: str) -> str:
    """Text in NFC that is valid UTF-8, without control characters, with one kind of line end."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n")
    return unicodedata.normalize("NFC", _FORBIDDEN.sub("", text)).strip()
