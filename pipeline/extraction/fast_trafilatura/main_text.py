"""The text that trafilatura finds in a page, in half the time.

The steps are those of `trafilatura.core.trafilatura_sequence` without readers' comments, in its order, and
trafilatura's own code decides about each element. The differences:

- its XPath expressions are evaluated by `selectors`, and unwanted parts are removed by `pruning`;
- the tree is copied once, not five times: what the fallbacks need is made when they are called;
- the fallbacks are called only where the result is doubtful: short, unclean, without paragraphs, or less than
  half of what the page's paragraphs hold;
- the length of the page's whole text is measured only where an upper bound is not enough;
- jusText's stop words are hashed once, the text of a paragraph is joined once, and no XPath is made for it.

docs/measurements.md has the gain and the cost of each. The tests compare with trafilatura as it comes.
"""

from collections.abc import Callable
from copy import copy
from functools import cache, cached_property
from importlib import import_module
from typing import Any

from justext.core import PathInfo
from justext.paragraph import Paragraph
from lxml import etree
from lxml.html import HtmlElement
from trafilatura import core, external, main_extractor, xpaths
from trafilatura.baseline import baseline, html2txt
from trafilatura.external import SANITIZED_XPATH, compare_extraction, jt_stoplist_init, justext_rescue
from trafilatura.htmlprocessing import convert_tags, tree_cleaning
from trafilatura.settings import BASIC_CLEAN_XPATH, MIN_DUPLICATE_LENGTH, Extractor
from trafilatura.utils import HTML_PARSER, SPACING_PROTECTED, text_chars_test, trim
from trafilatura.xml import delete_element, xmltotxt

from pipeline.extraction.fast_trafilatura import markup, pruning
from pipeline.extraction.fast_trafilatura.selectors import Selectors

__all__ = ["find_text"]

PARAGRAPHS = ("p", "pre", "td")
DOUBT = 2  # a text is doubtful if the page's paragraphs hold more than this many times as much

Found = tuple[Any, str]  # the body of a text, and its characters


def find_text(tree: HtmlElement, *, fast: bool) -> str | None:
    """The text of a page as trafilatura finds it; None if there is too little.

    tree: the whole page; it is changed. fast: without the fallbacks readability and jusText.

    The first call replaces parts of trafilatura and jusText in this process by faster ones with the same
    results (`_prepare`).
    """
    options = _options(fast)
    try:
        body, text = _find(tree, options)
    except (TypeError, ValueError):  # as in `trafilatura.bare_extraction`
        return None
    return xmltotxt(body, False) if len(text) >= options.min_output_size else None


@cache
def _options(fast: bool) -> Extractor:
    _prepare()
    return Extractor(output_format="python", fast=fast, comments=False)


@cache
def _prepare() -> None:
    """Replaces parts of trafilatura and jusText by faster ones with the same results, once in a process."""
    HTML_PARSER.set_element_class_lookup(markup.ELEMENTS)
    _replace(
        main_extractor,
        BODY_XPATH=[Selectors(expression) for expression in xpaths.BODY_XPATH],
        prune_unwanted_sections=pruning.prune_sections,
    )
    _replace(core, compare_extraction=_compare_where_doubtful)
    _replace(import_module("trafilatura.baseline"), BASIC_CLEAN_XPATH=Selectors(BASIC_CLEAN_XPATH))
    _replace(external, jt_stoplist_init=_stop_words)
    _replace(PathInfo, xpath=property(lambda self: ""))
    joined = cached_property(Paragraph.text.fget)
    joined.__set_name__(Paragraph, "text")
    _replace(Paragraph, text=joined)


def _replace(what: object, **by: object) -> None:
    """Sets attributes of a module or class. Raises AttributeError for one that does not exist any more."""
    for name, value in by.items():
        getattr(what, name)
        setattr(what, name, value)


def _stop_words() -> frozenset[str]:
    """jusText's stop words as one frozenset: jusText caches by its hash, which is then computed once."""
    words = frozenset(jt_stoplist_init())
    _replace(external, JT_STOPLIST=words)
    return words


def _find(tree: HtmlElement, options: Extractor) -> Found:
    pruning.prune_raw(tree, forum=core._forum_thread_page(tree))
    body, text = _extract(tree, options)
    if not options.fast and _doubtful(tree, body, text, options):
        body, text = compare_extraction(tree_cleaning(copy(tree), options), copy(tree), body, text, options)
    if len(text) < options.min_extracted_size:
        other_body, other_text, length = baseline(tree)
        if length > len(text):
            body, text = other_body, other_text
    return _with_recall(tree, body, text, options) if _covers_little(tree, text) else (body, text)


def _extract(tree: HtmlElement, options: Extractor) -> Found:
    """As `trafilatura.main_extractor.extract_content`, which does the rest where little is found."""
    body, text, _ = main_extractor._extract(convert_tags(pruning.clean(copy(tree)), options), options)
    if len(body) == 0 or len(text) < options.min_extracted_size:
        return main_extractor.extract_content(convert_tags(pruning.clean(copy(tree)), options), options)
    previous = None
    for element in list(body):
        current = trim("".join(element.itertext()))
        if current and current == previous and len(current) > MIN_DUPLICATE_LENGTH:
            delete_element(element, keep_tail=False)
        else:
            previous = current
    etree.strip_elements(body, "done")
    etree.strip_tags(body, "div")
    for line in body.iter("lb"):
        if (
            line.tail
            and not text_chars_test(line.tail)
            and next(line.iterancestors(*SPACING_PROTECTED), None) is None
        ):
            line.tail = None
    return body, text


def _doubtful(tree: HtmlElement, body: Any, text: str, options: Extractor) -> bool:
    """Whether `compare_extraction` might prefer what readability or jusText find."""
    if len(text) < options.min_extracted_size or body.xpath(SANITIZED_XPATH):
        return True
    if not body.xpath(".//p//text()") or len(body.findall(".//table")) > len(body.findall(".//p")):
        return True
    left = DOUBT * len(text)
    for paragraph in tree.iter(*PARAGRAPHS):
        if next(paragraph.iterancestors(*PARAGRAPHS), None) is None:
            left -= len(" ".join(paragraph.text_content().split()))
            if left < 0:
                return True
    return False


def _compare_where_doubtful(
    cleaned: HtmlElement, raw: HtmlElement, body: Any, text: str, options: Extractor
) -> Found:
    if not _doubtful(raw, body, text, options):
        return body, text
    return compare_extraction(cleaned, raw, body, text, options)


def _covers_little(tree: HtmlElement, text: str) -> bool:
    """Whether trafilatura would try again with rules that leave more."""
    if not 0 < len(text) < core.ESCALATION_MAX_LENGTH:
        return False
    at_most = len(" ".join(" ".join(tree.itertext()).split()))
    share = core.ESCALATION_PAGE_SHARE
    return len(text) < share * at_most and len(text) < share * len(html2txt(tree))


def _with_recall(tree: HtmlElement, body: Any, text: str, options: Extractor) -> Found:
    """The fourth stage of `trafilatura.core.trafilatura_sequence`."""
    recall = copy(options)
    recall.focus = "recall"
    more = _tried(core._recall_retry, tree, recall, None)
    other = (None, "") if options.fast else _tried(justext_rescue, copy(tree), options)
    if len(other[1]) > max(len(more[1]), core.ESCALATION_JUSTEXT_RATIO * len(text)):
        return other
    if len(more[1]) >= options.min_extracted_size and len(more[1]) > core.ESCALATION_ACCEPT_RATIO * len(text):
        return more
    return body, text


def _tried(function: Callable[..., Found], *arguments: Any) -> Found:
    try:
        return function(*arguments)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 (as there: what was found before is still something)
        return None, ""
