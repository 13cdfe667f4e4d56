"""Engines of extraction by name: each a function from a page's characters to its text, entered in `ENGINES`.

`trafilatura` is trafilatura's own answer by a shorter way (docs/measurements.md has each step's gain and
loss; `trafilatura.bare_extraction` with its fallbacks is the reference in the tests):

- The page is parsed once, for text, title and date, and only title and date are sought of the metadata.
- lxml.html chooses the class of an element in Python, each time that one is touched. Nothing in trafilatura
  needs the special classes (forms, inputs), and a choice in C gives the same elements.
- Its XPath expressions match every class and id of a page with long regular expressions, over and over the
  same ones; here a string is matched once (and as a plain string: `smart_strings` know their element), and
  elements without attributes are passed over.
- jusText writes down an XPath for every paragraph, which nobody reads.
- Scripts (but JSON-LD), styles and drawings are dropped before the tree is copied.
- What `pipeline.early` can tell from the page's words is not extracted.
- Its comparison with readability and jusText is made only where its own result is doubtful: short, unclean,
  or less than half of what the page's paragraphs hold.

Dates come from the page's metadata and markup (htmldate's quick search). Its extensive search reads the whole
text for anything like a date: 5 to 40 ms more a page, for one page in nine that would have no date.
"""

import re
from collections.abc import Callable
from functools import cache, lru_cache
from html import unescape
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import trafilatura
from htmldate import find_date
from justext.core import PathInfo
from lxml import etree
from lxml.html import HtmlComment, HtmlElement, HtmlEntity, HtmlProcessingInstruction
from trafilatura import core, metadata
from trafilatura.external import SANITIZED_XPATH, compare_extraction
from trafilatura.settings import Extractor
from trafilatura.utils import HTML_PARSER, load_html
from trafilatura.xpaths import REGEXP_NS

from pipeline import early
from pipeline.errors import UserError
from pipeline.page import Dropped, Page, Text

JSON = ("application/ld+json", "application/settings+json")
DRAWINGS = ("style", "svg", "canvas")
DOUBT = 2  # a text is doubtful if the page's paragraphs hold so many times as much


TESTED = re.compile(r"re:test\((@\w+(?:\|@\w+)*), *'[^']*'(?:, *'\w*')?\)")


Engine = Callable[[str, Page], Text | Dropped | None]


def with_trafilatura(characters: str, page: Page) -> Text | Dropped | None:
    """trafilatura's text, without readers' comments; its fallbacks only where they may matter."""
    return _trafilatura(characters, page, fallbacks=True)


def with_trafilatura_fast(characters: str, page: Page) -> Text | Dropped | None:
    """trafilatura without its fallbacks."""
    return _trafilatura(characters, page, fallbacks=False)


def _trafilatura(characters: str, page: Page, fallbacks: bool) -> Text | Dropped | None:
    _prepare()
    tree = load_html(characters)
    if tree is None:
        return None
    _drop_what_is_no_text(tree)
    if dropped := early.judge(tree, page):
        return dropped
    found = trafilatura.bare_extraction(tree, url=page.url, fast=not fallbacks, include_comments=False)
    if found is None or isinstance(found, dict) or not found.text:
        return None
    title, date = _title_and_date(tree, page)
    return Text(found.text, title, date)


@cache
def _prepare() -> None:
    """Makes trafilatura's parser and expressions quick, once in a process. Their results are the same."""
    HTML_PARSER.set_element_class_lookup(
        etree.ElementDefaultClassLookup(
            element=HtmlElement, comment=HtmlComment, pi=HtmlProcessingInstruction, entity=HtmlEntity
        )
    )
    PathInfo.xpath = property(lambda self: "")
    core.compare_extraction = _compare_where_doubtful  # type: ignore[attr-defined,assignment]
    for module in map(import_module, ("trafilatura.xpaths", "trafilatura.baseline", "trafilatura.external")):
        for name, value in vars(module).items():
            if isinstance(value, etree.XPath):
                setattr(module, name, _quick(value))
            elif isinstance(value, list):
                value[:] = [_quick(each) if isinstance(each, etree.XPath) else each for each in value]


def _quick(expression: etree.XPath) -> etree.XPath:
    return etree.XPath(
        TESTED.sub(_only_where_present, expression.path).replace(".//*[", ".//*[@*]["),
        namespaces={"re": REGEXP_NS},
        extensions={(REGEXP_NS, "test"): _test},
        regexp=False,
        smart_strings=False,
    )


def _only_where_present(test: re.Match[str]) -> str:
    """No pattern of trafilatura's matches the empty string, which a missing attribute would be."""
    return f"(({test[1].replace('|', ' or ')}) and {test[0]})"


def _test(_: object, values: list[str], pattern: str, flags: str = "") -> bool:
    """EXSLT's `re:test` as in lxml: of several strings the first."""
    return _matches(pattern, flags, values[0])


@lru_cache(maxsize=1 << 16)
def _matches(pattern: str, flags: str, value: str) -> bool:
    return re.search(pattern, value, re.IGNORECASE if "i" in flags else 0) is not None


def _drop_what_is_no_text(tree: HtmlElement) -> None:
    data = [script for script in tree.iter("script") if script.get("type") in JSON]
    for script in data:
        script.tag = "data-script"
    etree.strip_elements(tree, "script", *DRAWINGS, with_tail=False)
    for script in data:
        script.tag = "script"


def _compare_where_doubtful(
    cleaned: HtmlElement, raw: HtmlElement, body: Any, text: str, options: Extractor
) -> tuple[Any, str]:
    """trafilatura's comparison with readability and jusText, unless its own result is beyond doubt."""
    if (
        len(text) >= options.min_extracted_size
        and sum(len(p.text_content()) for p in raw.iter("p", "pre", "td")) <= DOUBT * len(text)
        and not body.xpath(SANITIZED_XPATH)
    ):
        return body, text
    return compare_extraction(cleaned, raw, body, text, options)


def _title_and_date(tree: HtmlElement, page: Page) -> tuple[str | None, str | None]:
    """As in `trafilatura.metadata.extract_metadata`, which looks for ten more things."""
    about = metadata.extract_meta_json(tree, metadata.examine_meta(tree))
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
    """resiliparse's main content by its rules, more than ten times as fast (extra `resiliparse`).

    The title is that of the document's head; no date is sought.
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
