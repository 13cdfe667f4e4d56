"""From the characters of a page to its tree, as `trafilatura.load_html` makes it, in less time.

The page is repaired and parsed as bytes: a regular expression over a whole page takes half as long as parsing
it, and lxml encodes a string before it parses it.

lxml.html chooses the class of an element in Python, each time that one is touched. trafilatura needs none of
the special classes (forms, inputs), so that a choice in C gives equivalent elements.
"""

import re

from lxml import etree
from lxml.html import (
    HtmlComment,
    HtmlElement,
    HtmlEntity,
    HTMLParser,
    HtmlProcessingInstruction,
    fromstring,
)

__all__ = ["ELEMENTS", "parse"]

CONTROLS = bytes(each for each in range(0x20) if each not in b"\t\n\r")
NO_CHARACTERS = ("\ufffe".encode(), "\uffff".encode())
JSON = ("application/ld+json", "application/settings+json")
# libxml2 loses a page that begins with such a doctype
DOCTYPE_TAG = re.compile("^< ?! ?DOCTYPE[^>]*/[^<>]*>", re.IGNORECASE)
FAULTY_HTML = re.compile(r"(<html.*?)\s*/>", re.IGNORECASE)
PARSER = HTMLParser(
    collect_ids=False, default_doctype=False, encoding="utf-8", remove_comments=True, remove_pis=True
)
ELEMENTS = etree.ElementDefaultClassLookup(
    element=HtmlElement, comment=HtmlComment, pi=HtmlProcessingInstruction, entity=HtmlEntity
)
PARSER.set_element_class_lookup(ELEMENTS)
DRAWINGS = ("style", "svg", "canvas")


def parse(characters: str) -> HtmlElement | None:
    """The tree of a page without scripts (other than JSON), styles and drawings; None if it has no markup."""
    beginning = characters[:50].lower()
    page = characters.encode("utf-8", "surrogatepass").translate(None, CONTROLS)
    if b"\xef\xbf" in page:
        for each in NO_CHARACTERS:
            page = page.replace(each, b"")
    try:
        tree = fromstring(_repaired(page, beginning), parser=PARSER)
    except (etree.LxmlError, ValueError):
        return None
    if tree is None or ("html" not in beginning and len(tree) < 2):
        return None
    _drop_what_is_no_text(tree)
    return tree


def _repaired(page: bytes, beginning: str) -> bytes:
    """As `trafilatura.utils.repair_faulty_html`, which works on characters."""
    if "doctype" in beginning:
        first, _, rest = page.partition(b"\n")
        page = _substituted(DOCTYPE_TAG, "", first) + b"\n" + rest
    start = page[: 4 * 4096].decode("utf-8", "ignore")[:4096]
    if any("<html" in line and line.endswith("/>") for line in start.splitlines()[:4]):
        page = _substituted(FAULTY_HTML, r"\1>", page)
    return page


def _substituted(pattern: re.Pattern[str], by: str, page: bytes) -> bytes:
    return pattern.sub(by, page.decode("utf-8", "surrogatepass"), count=1).encode("utf-8", "surrogatepass")


def _drop_what_is_no_text(tree: HtmlElement) -> None:
    data = [script for script in tree.iter("script") if script.get("type") in JSON]
    for script in data:
        script.tag = "data-script"
    etree.strip_elements(tree, "script", *DRAWINGS, with_tail=False)
    for script in data:
        script.tag = "script"
