"""What trafilatura removes from a page before it reads its text, removed in fewer passes over the tree.

What is removed is the same. Each function names its original.
"""

from collections import defaultdict

from lxml import etree
from lxml.html import HtmlElement
from trafilatura.htmlprocessing import (
    _handle_forms,
    link_density_test,
    link_density_test_tables,
    prune_html,
    recover_math,
)
from trafilatura.settings import MANUALLY_CLEANED, MANUALLY_STRIPPED, Extractor
from trafilatura.utils import LINK_FARM_RATIO, trim
from trafilatura.xml import delete_element
from trafilatura.xpaths import (
    DISCARD_IMAGE_ELEMENTS,
    OVERALL_DISCARD_XPATH,
    RAW_TREE_PRUNE_XPATH,
    REMOVE_COMMENTS_AND_LISTS_XPATH,
    TEASER_DISCARD_XPATH,
)

from pipeline.extraction.fast_trafilatura.selectors import Selectors

__all__ = ["clean", "prune_raw", "prune_sections"]

RAW = Selectors(*RAW_TREE_PRUNE_XPATH, *REMOVE_COMMENTS_AND_LISTS_XPATH)
SECTIONS = Selectors(*OVERALL_DISCARD_XPATH, *DISCARD_IMAGE_ELEMENTS, *TEASER_DISCARD_XPATH)
LONG = 300  # characters: `link_density_test` never calls an element of this length short


def prune_raw(tree: HtmlElement, *, forum: bool) -> None:
    """Removes further articles, and readers' comments unless the page is a forum's.

    As the first lines of `trafilatura.core.trafilatura_sequence`.
    """
    *appended, comments = RAW.find(tree)
    for elements in (*appended, () if forum else comments):
        for element in elements:
            delete_element(element)


def clean(tree: HtmlElement) -> HtmlElement:
    """As `trafilatura.htmlprocessing.tree_cleaning`, which looks for each of 50 tags in the whole tree."""
    recover_math(tree)
    for element in tree.iter("figure", "table"):
        holds_table = element.tag == "figure" and element.find(".//table") is not None
        if holds_table or (element.tag == "table" and element.get("role") in ("presentation", "none")):
            element.tag = "div"
    etree.strip_tags(tree, MANUALLY_STRIPPED)
    present = {element.tag for element in tree.iter(*MANUALLY_CLEANED)} - {"form"}
    for tag in MANUALLY_CLEANED:
        if tag in present:
            for element in tree.iter(tag):  # while it is changed: of nested elements some are left, as there
                delete_element(element)
    _handle_forms(tree)
    return prune_html(tree)


def prune_sections(
    tree: HtmlElement, potential_tags: set[str], options: Extractor, keep_teasers: bool = False
) -> HtmlElement:
    """As `trafilatura.main_extractor.prune_unwanted_sections`, without images, links and `precision`."""
    *overall, captions, teasers = SECTIONS.find(tree)
    unwanted = dict.fromkeys(element for elements in overall for element in elements)
    outer = [element for element in unwanted if unwanted.keys().isdisjoint(element.iterancestors())]
    before = len(tree.text_content())
    if before - sum(len(element.text_content()) for element in outer) > before / 7:
        for element in outer:
            delete_element(element)
    for element in captions:
        delete_element(element)
    if options.focus != "recall" and not keep_teasers:
        for element in teasers:
            delete_element(element)
    lengths = {link: len(link.text_content()) for link in tree.iter("ref")}
    for _ in range(2):
        deleted = [_delete_by_links(tree, tag, lengths) for tag in ("div", "list", "p")]
        if not any(deleted):
            break
    if lengths and "table" in potential_tags:
        for table in [each for each in tree.iter("table") if link_density_test_tables(each)]:
            delete_element(table, keep_tail=False)
    etree.strip_tags(tree, "span", "ref")
    return tree


def _delete_by_links(tree: HtmlElement, tag: str, lengths: dict[HtmlElement, int]) -> bool:
    """As `trafilatura.htmlprocessing.delete_by_link_density`; returns whether anything was deleted.

    lengths: of the texts of all links, by link.
    """
    links: dict[HtmlElement, list[int]] = defaultdict(list)  # lengths of the links in each element
    for link, length in lengths.items():
        for element in link.iterancestors(tag):
            links[element].append(length)
    dense = [
        element
        for element in (tree.iter(tag) if links else ())
        if element in links and not _surely_text(element, links[element]) and _is_dense(element, tag)
    ]
    for element in dense:
        delete_element(element)
    return bool(dense)


def _surely_text(element: HtmlElement, links: list[int]) -> bool:
    """Whether an element is certainly neither short nor mostly links; reads no more of it than that takes.

    links: lengths of the texts of its links, or upper bounds of them.
    """
    if len(links) == 1 and links[0] > 100:  # would be compared with nine tenths of the text
        return False
    needed = max(LONG, sum(links) / LINK_FARM_RATIO)
    for text in element.itertext():
        needed -= len("".join(text.split()))
        if needed <= 0:
            return True
    return False


def _is_dense(element: HtmlElement, tag: str) -> bool:
    dense, short = link_density_test(element)
    if not dense and tag == "div" and short and len(element) >= 3:
        dense = len(trim(element.text_content())) < 100
    parent = element.getparent()
    return dense and (tag != "p" or parent is None or parent.tag not in ("item", "td", "th"))
