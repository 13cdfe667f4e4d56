"""Extraction engines by name: functions from a page's characters to its text, listed in `ENGINES`.

A new engine is a function of type `Engine` and a line in `ENGINES`, with its name in `settings.Extract`.

With trafilatura a page is parsed once for text, title and date, and no other metadata is looked for. A page
that `prefilter` drops is not extracted. The text is found in a shorter way than trafilatura's own
(`fast_trafilatura.main_text`), unless a version is installed that this was not compared with.

Dates come from the page's metadata and markup (htmldate's quick search). Its extensive search reads the whole
text for anything like a date: 5 to 40 ms more per page, for one page in nine that would have no date.
"""

from collections.abc import Callable
from html import unescape
from importlib.util import find_spec

import trafilatura
from htmldate import find_date
from lxml.html import HtmlElement
from trafilatura import metadata

from pipeline.errors import UserError
from pipeline.extraction import prefilter
from pipeline.extraction.fast_trafilatura import markup
from pipeline.extraction.page import Dropped, Page, Text

__all__ = [
    "ENGINES",
    "KNOWN",
    "Engine",
    "find_text",
    "find_text_by_trafilatura",
    "require",
    "with_resiliparse",
    "with_trafilatura",
    "with_trafilatura_fast",
]

KNOWN = "2.3."  # the versions of trafilatura whose text `fast_trafilatura.main_text` is known to equal

Engine = Callable[[str, Page], Text | Dropped | None]


def with_trafilatura(characters: str, page: Page) -> Text | Dropped | None:
    """trafilatura's text, without readers' comments. Its fallbacks run only where they may matter."""
    return _trafilatura(characters, page, fallbacks=True)


def with_trafilatura_fast(characters: str, page: Page) -> Text | Dropped | None:
    """trafilatura without its fallbacks, readability and jusText."""
    return _trafilatura(characters, page, fallbacks=False)


def _trafilatura(characters: str, page: Page, fallbacks: bool) -> Text | Dropped | None:
    tree = markup.parse(characters)
    if tree is None:
        return None
    if dropped := prefilter.judge(tree, page):
        return dropped
    title, date = _title_and_date(tree, page)
    text = find_text(tree, fast=not fallbacks)
    return Text(text, title, date) if text else None


def find_text_by_trafilatura(tree: HtmlElement, *, fast: bool) -> str | None:
    """The text that trafilatura finds by its own code; None if there is none. May change `tree`."""
    found = trafilatura.bare_extraction(tree, fast=fast, include_comments=False)
    return found.text if isinstance(found, trafilatura.settings.Document) else None


if trafilatura.__version__.startswith(KNOWN):
    from pipeline.extraction.fast_trafilatura.main_text import find_text
else:
    find_text = find_text_by_trafilatura


def _title_and_date(tree: HtmlElement, page: Page) -> tuple[str | None, str | None]:
    """As in `trafilatura.metadata.extract_metadata`, which looks for ten more things.

    JSON-LD is read only if the meta elements have no title.
    """
    about = metadata.examine_meta(tree)
    if not about.title:
        about = metadata.extract_meta_json(tree, about)
    title = about.title or metadata.extract_title(tree)
    date = find_date(
        tree,
        url=about.url or metadata.extract_url(tree, page.url),
        original_date=True,
        extensive_search=False,
        max_date=page.fetched,
    )
    return unescape(title) if title else None, date


def with_resiliparse(characters: str, page: Page) -> Text | None:
    """The main content by resiliparse's rules, more than ten times as fast (extra `resiliparse`).

    The title is that of the document's head. There is no date. Nothing is dropped before extraction.
    """
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    tree = HTMLTree.parse(characters)
    text = extract_plain_text(tree, main_content=True, alt_texts=False, comments=False)
    return Text(text, tree.title) if text else None


ENGINES: dict[str, Engine] = {
    "trafilatura": with_trafilatura,
    "trafilatura-fast": with_trafilatura_fast,
    "resiliparse": with_resiliparse,
}


def require(engine: str) -> None:
    """Raises UserError if the engine's library is not installed."""
    if engine == "resiliparse" and find_spec("resiliparse") is None:
        raise UserError("extract.engine is 'resiliparse', which is not installed: pip install resiliparse")
