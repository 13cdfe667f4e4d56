"""Selectors against lxml's XPath: over real pages and made ones, for every expression of trafilatura's."""

from functools import partial
from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree, html
from trafilatura import xpaths

from pipeline.extraction.fast_trafilatura import markup
from pipeline.extraction.fast_trafilatura.selectors import REGEXP_NS, Selectors
from tests.pipeline.pages import Pages, news, readability, sample
from tests.shared import private

NAMES = ("BODY_XPATH", "REMOVE_COMMENTS_AND_LISTS_XPATH", "RAW_TREE_PRUNE_XPATH", "OVERALL_DISCARD_XPATH")
REAL = [
    *(expression for name in NAMES for expression in getattr(xpaths, name)),
    *xpaths.TEASER_DISCARD_XPATH,
    *xpaths.DISCARD_IMAGE_ELEMENTS,
    import_module("trafilatura.baseline").BASIC_CLEAN_XPATH,
]
MADE = [
    ".//*[@id='ab' or re:test(@class, '^a|b$')]",
    ".//*[self::div or self::p][re:test(@id|@class, 'a') or starts-with(@class, 'b')]",
    ".//*[contains(translate(@class, 'AB', 'ab'), 'ab') or @role]|.//p|.//div[contains(@class|@style, 'B')]",
    "(.//*[self::div or self::p][@role='a' or re:test(@class, 'A', 'i')])[1]|(.//span)[1]",
    ".//*[re:test(@class, 'a')][not(.//p) or @id]",
    ".//span",
]


def same(expression: etree.XPath, tree: html.HtmlElement) -> bool:
    expected, found = expression(tree), Selectors(expression)(tree)
    if expression.path.rstrip().endswith("[1]"):
        return found == expected[:1]
    return set(found) == set(expected)


@pytest.mark.parametrize("pages", [sample, *private(partial(news, 30), partial(readability, 30))])
def test_every_expression_of_trafilatura_selects_the_same_in_pages(pages: Pages) -> None:
    for page, _ in pages():
        tree = markup.parse(page.body.decode(errors="replace"))
        assert tree is not None
        assert [expression.path for expression in REAL if not same(expression, tree)] == []


strings = st.text("abAB ", max_size=3)
attributes = st.lists(st.tuples(st.sampled_from(["class", "id", "style", "role"]), strings), max_size=3)
elements = st.recursive(
    st.tuples(st.sampled_from(["div", "p", "span"]), attributes, st.just([])),
    lambda children: st.tuples(st.sampled_from(["div", "span"]), attributes, st.lists(children, max_size=3)),
)


@given(st.lists(elements, max_size=4))
def test_made_expressions_select_the_same_in_made_pages(tops: list[tuple]) -> None:
    def grow(parent: html.HtmlElement, made: tuple) -> None:
        element = etree.SubElement(parent, made[0])
        for name, value in made[1]:
            element.set(name, value)
        for child in made[2]:
            grow(element, child)

    tree = html.fromstring("<html><body></body></html>")
    for top in tops:
        grow(tree[0], top)
    for path in MADE:
        expression = etree.XPath(path, namespaces={"re": REGEXP_NS})
        assert same(expression, tree), path


def test_several_at_once() -> None:
    tree = html.fromstring("<div><p class='a'>1</p><p id='b'>2</p><div class='a' style='c'>3</div></div>")
    paths = (".//*[@class='a']", ".//*[self::p][@class='a' or @id='b']", ".//*[contains(@style, 'c')]")
    found = Selectors(*map(etree.XPath, paths)).find(tree)
    assert [sorted(element.text for element in each) for each in found] == [["1", "3"], ["1", "2"], ["3"]]


@pytest.mark.parametrize(
    "path",
    [
        "//p",
        ".//a/b",
        ".//*[ancestor::div]",
        ".//*[@class='a' and @id='b']",
        ".//*[re:test(@class, 'a*')]",
        ".//p|(.//div)[1]",
    ],
)
def test_what_asks_for_more_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"^(not|passed)"):
        Selectors(etree.XPath(path, namespaces={"re": REGEXP_NS}))
