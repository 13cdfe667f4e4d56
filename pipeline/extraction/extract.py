"""The stage `extract`: from a page's bytes to its text, each page in a child process under limits.

The text is found by one of `engines`. Plain text goes past them. Text is Unicode NFC (canonically
equivalent, and what trafilatura's own output is in: words and tokens must not depend on how a site spells its
accents), without control characters and lone surrogates, with "\\n" between paragraphs.

Of pages that are alike the first is extracted, and the others have its outcome. Alike are pages with the same
body, charset, media type, day of fetch and date in the URL: of the URL nothing else decides what is found.
"""

import atexit
import hashlib
import re
import threading
import unicodedata
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec
from htmldate.extractors import COMPLETE_URL

from pipeline.extraction import notices
from pipeline.extraction.charset import decode
from pipeline.extraction.engines import ENGINES
from pipeline.extraction.page import Dropped, Page, Text
from pipeline.extraction.sandbox import Outcome, Sandbox

if TYPE_CHECKING:
    from pipeline.settings import Extract

PLAIN = "text/plain"
_kept = threading.local()
FORBIDDEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")


def extract(pages: Iterable[Page], settings: "Extract") -> Iterator[Outcome[Text | Dropped]]:
    """What becomes of each page, in order: `ok`, a reason of `prefilter` or `notices`, or a
    failure of `pipeline.extraction.sandbox`.

    Lazy: holds two pages at a time, and the outcomes, for pages like those before.
    """
    kinds: list[int] = []  # of each page: the number of its outcome
    outcomes: list[Outcome[Text | Dropped]] = []
    done = 0
    sandbox = _sandbox(settings.deadline, settings.memory_limit, settings.recycle_after)
    for outcome in sandbox.map(_distinct(pages, kinds)):
        if isinstance(outcome.value, Dropped):
            outcome = outcome._replace(reason=outcome.value.reason)
        outcomes.append(outcome)
        while done < len(kinds) and kinds[done] < len(outcomes):
            yield outcomes[kinds[done]]
            done += 1


def _distinct(pages: Iterable[Page], kinds: list[int]) -> Iterator[Page]:
    """The first page of each kind. Appends the number of its kind to `kinds` for every page that is read."""
    known: dict[bytes, int] = {}
    for page in pages:
        new = len(known)
        kinds.append(known.setdefault(_identity(page), new))
        if kinds[-1] == new:
            yield page


def _identity(page: Page) -> bytes:
    """Equal for pages of which the same is found."""
    date = COMPLETE_URL.search(page.url)
    rest = msgspec.structs.replace(page, body=b"", url="-".join(date.groups()) if date else "")
    return hashlib.blake2b(page.body, key=hashlib.sha256(msgspec.msgpack.encode(rest)).digest()).digest()


def _sandbox(deadline: float, memory_limit: int, recycle_after: int) -> Sandbox[Page, Text | Dropped]:
    """The sandbox of this thread, whose child lives on between partitions: starting one takes a second."""
    limits = deadline, memory_limit, recycle_after
    if getattr(_kept, "limits", None) != limits:
        if hasattr(_kept, "sandbox"):
            _kept.sandbox.close()
        _kept.limits = limits
        _kept.sandbox = Sandbox(
            extract_page, deadline=deadline, memory_limit=memory_limit, recycle_after=recycle_after
        )
        atexit.register(_kept.sandbox.close)
    sandbox: Sandbox[Page, Text | Dropped] = _kept.sandbox
    return sandbox


def extract_page(page: Page) -> Text | Dropped | None:
    """The text of a page, or why it is dropped; None if it is empty. What an engine raises is passed on."""
    characters = decode(page.body, page.charset)
    found = Text(characters) if page.content_type == PLAIN else ENGINES[page.engine](characters, page)
    if not isinstance(found, Text):
        return found
    if not (text := clean(found.text)):
        return None
    kind, share = notices.notice(text) if page.boilerplate else (None, 0.0)
    if kind and share == 1:
        return Dropped(kind)
    return Text(text, " ".join(clean(found.title or "").split()) or None, found.date)


def clean(text: str) -> str:
    """Text in NFC that is valid UTF-8, without control characters, with single kinds of line ends."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n")
    return unicodedata.normalize("NFC", FORBIDDEN.sub("", text)).strip()
