"""XPath expressions that select elements by tags and attributes, evaluated without XPath.

For each regular expression and each element libxml2 calls Python, over and over with the same strings. But an
expression like

    .//*[self::div or self::p][@id='story' or re:test(@class, 'post|entry')]|.//nav

asks for nothing but an element's tag and a few strings. So the tests of an attribute are evaluated once per
string, and those of several expressions in one pass over the tree.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from lxml import etree
from lxml.html import HtmlElement

__all__ = ["REGEXP_NS", "Selectors"]

REGEXP_NS = "http://exslt.org/regular-expressions"
REMEMBERED = 1 << 13  # strings of each attribute whose tests are cached
FREQUENT = ("class", "id")  # attributes that are looked at in every element

UNION = re.compile(r"\|(?=\(?\.//)")
ELEMENTS = re.compile(
    r"(?P<open>\()?\.//(?:\*(?:\[(?P<tags>self::\w+(?: or self::\w+)*)\] ?)?|(?P<tag>\w+))"
    r"(?:\[ ?(?P<tests>(?:[^\]']|'[^']*')*?) ?\])?(?P<more>\[.*[^1]\])?(?P<close> ?\))?(?P<first>\[1\])?"
)
ATTRIBUTE = r"@(?P<name>[\w-]+)(?:\|@(?P<other>[\w-]+))?"
VALUE = r"'(?P<value>[^']*)'"
TESTS: list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]] = [
    (re.compile(ATTRIBUTE), lambda test: ""),
    (re.compile(f"{ATTRIBUTE} ?= ?{VALUE}"), lambda test: rf"\A{re.escape(test['value'])}\Z"),
    (re.compile(rf"contains\({ATTRIBUTE}, ?{VALUE}\)"), lambda test: re.escape(test["value"])),
    (re.compile(rf"starts-with\({ATTRIBUTE}, ?{VALUE}\)"), lambda test: rf"\A{re.escape(test['value'])}"),
    (re.compile(rf"re:test\({ATTRIBUTE}, ?{VALUE}\)"), lambda test: test["value"]),
    (re.compile(rf"re:test\({ATTRIBUTE}, ?{VALUE}, ?'i'\)"), lambda test: f"(?i:{test['value']})"),
    (
        re.compile(rf"contains\(translate\({ATTRIBUTE}, ?'(?P<of>\w+)', ?'(?P<to>\w+)'\), ?{VALUE}\)"),
        lambda test: _translated(test["of"], test["to"], test["value"]),
    ),
]


def _translated(letters: str, into: str, value: str) -> str:
    """A pattern that finds `value` in a string in which `letters` have not been translated yet."""
    origins = {letter: letter for letter in value if letter not in letters}
    for origin, letter in zip(letters, into, strict=True):
        origins[letter] = origins.get(letter, "") + origin
    return "".join(f"[{re.escape(origins[letter])}]" for letter in value)


class AttributeTest(NamedTuple):
    """What makes an expression select an element: an attribute in which a pattern is found."""

    attribute: str
    other: str | None  # an attribute that must not stand before it
    pattern: str
    tags: frozenset[str]  # of the element; empty: any


class Expression:
    """A parsed XPath expression. Raises ValueError if it asks for more than tags and attributes.

    A second pair of brackets is kept as XPath, and evaluated for elements that pass the first.
    """

    def __init__(self, xpath: etree.XPath) -> None:
        path = " ".join(xpath.path.split())
        self.tags: set[str] = set()  # of elements selected whatever their attributes
        self.tests: list[AttributeTest] = []
        self.first = path.endswith("[1]")  # only the first element is wanted
        self.condition: etree.XPath | None = None  # of an element that passes
        for part in UNION.split(path):
            form = ELEMENTS.fullmatch(part)
            if not form or bool(form["first"]) != self.first or (form["more"] and part != path):
                raise ValueError(f"not an expression about tags and attributes: {path}")
            tags = re.findall(r"self::(\w+)", form["tags"] or "") + [form["tag"]] * bool(form["tag"])
            if form["tests"]:
                for test in form["tests"].split(" or "):
                    self.tests += _read(test, frozenset(tags))
            else:
                self.tags.update(tags)
            if form["more"]:
                self.condition = etree.XPath(f"self::*{form['more']}", namespaces={"re": REGEXP_NS})


def _read(test: str, tags: frozenset[str]) -> Iterator[AttributeTest]:
    for known, make in TESTS:
        if form := known.fullmatch(test):
            name, other, pattern = form["name"], form["other"], make(form)
            if pattern and re.search(pattern, ""):
                raise ValueError(f"passed by an attribute that is not there: {test}")
            yield AttributeTest(name, other, pattern, tags)
            if other:
                yield AttributeTest(other, name, pattern, tags)
            return
    raise ValueError(f"not a test of an attribute: {test}")


class Passed(NamedTuple):
    """An expression that the string of an attribute satisfies.

    It selects the element if that has one of `tags`, and no attribute `other` before this one.
    """

    expression: int
    other: str | None  # as in `AttributeTest`
    tags: frozenset[str]


class Selectors:
    """XPath expressions whose elements are found in one pass over a tree.

    Raises ValueError as `Expression` does.
    """

    def __init__(self, *xpaths: etree.XPath) -> None:
        self._expressions = [Expression(xpath) for xpath in xpaths]
        tests = [test for expression in self._expressions for test in expression.tests]
        self._tags = (
            {tag for test in tests for tag in test.tags} if all(test.tags for test in tests) else {"*"}
        )
        self._passing = {test.attribute: self._judge(test.attribute) for test in tests}
        rare = [name for name in self._passing if name not in FREQUENT]
        self._with_rare = etree.XPath(
            f"descendant::*[{' or '.join(f'@{name}' for name in rare) or 'false()'}]"
        )

    def __call__(self, tree: HtmlElement) -> list[HtmlElement]:
        """The descendants that the first expression selects, as its XPath does, but in any order.

        Of one that ends in `[1]` it is the first in the document.
        """
        return self._find_first(tree) if self._expressions[0].first else self.find(tree)[0]

    def find(self, tree: HtmlElement) -> list[list[HtmlElement]]:
        """The descendants that each expression selects, in any order."""
        found: list[dict[HtmlElement, None]] = [
            dict.fromkeys(tree.iterdescendants(*expression.tags) if expression.tags else ())
            for expression in self._expressions
        ]
        frequent = [(name, passing) for name, passing in self._passing.items() if name in FREQUENT]
        for element in tree.iterdescendants(*self._tags) if frequent else ():
            for name, passing in frequent:
                if (value := element.get(name)) is not None and (passed := passing(value)):
                    for index in _selecting(element, name, passed):
                        found[index][element] = None
        if len(frequent) < len(self._passing):
            for element in self._with_rare(tree):
                for name, value in element.items():
                    if name not in FREQUENT and name in self._passing:
                        for index in _selecting(element, name, self._passing[name](value)):
                            found[index][element] = None
        return [
            [element for element in elements if not expression.condition or expression.condition(element)]
            for expression, elements in zip(self._expressions, found, strict=True)
        ]

    def _find_first(self, tree: HtmlElement) -> list[HtmlElement]:
        always = self._expressions[0].tags
        for element in tree.iterdescendants(*self._tags, *always):
            if always and element.tag in always:
                return [element]
            for name, passing in self._passing.items():
                value = element.get(name)
                if value is not None and any(True for _ in _selecting(element, name, passing(value))):
                    return [element]
        return []

    def _judge(self, attribute: str) -> Callable[[str], list[Passed]]:
        """A function from a string of the attribute to the expressions whose tests it passes."""
        patterns: dict[Passed, list[str]] = {}
        for number, expression in enumerate(self._expressions):
            for test in expression.tests:
                if test.attribute == attribute:
                    patterns.setdefault(Passed(number, test.other, test.tags), []).append(
                        f"(?:{test.pattern})"
                    )
        tests = [(passed, re.compile("|".join(alternatives))) for passed, alternatives in patterns.items()]

        @lru_cache(REMEMBERED)
        def passing(value: str) -> list[Passed]:
            return [passed for passed, pattern in tests if pattern.search(value)]

        return passing


def _selecting(element: HtmlElement, name: str, passed: list[Passed]) -> Iterator[int]:
    """The expressions that select an element. name: its attribute that has `passed` tests."""
    for expression, other, tags in passed:
        if tags and element.tag not in tags:
            continue
        if other and other in (names := element.keys()) and names.index(other) < names.index(name):
            continue
        yield expression
