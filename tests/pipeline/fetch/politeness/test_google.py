"""What Google's parser of robots.txt is expected to do, and ours does: https://github.com/google/robotstxt.

The cases are those of its robots_test.cc at commit c8ac4b1 (Apache-2.0), written down anew: each
IsUserAgentAllowed there is an agent and a URL here. Its tests of counts, line numbers and sitemap lines are
of a reporter that we have no use for; what they say of line ends and byte order marks is asked of `lines`.
"""

from typing import NamedTuple

import pytest

from pipeline.fetch.politeness import robots
from pipeline.fetch.politeness.groups import group, lines

FOO = "http://foo.bar"


class Case(NamedTuple):
    """A robots.txt, and what may and may not be fetched: (agent, URL)."""

    name: str
    content: str
    allowed: list[tuple[str, str]]
    refused: list[tuple[str, str]]


def foobot(name: str, rules: str, allowed: str, refused: str) -> Case:
    """A case with one group for FooBot. allowed, refused: paths, separated by spaces."""
    return Case(
        name,
        "user-agent: FooBot\n" + rules,
        [("FooBot", FOO + path) for path in allowed.split()],
        [("FooBot", FOO + path) for path in refused.split()],
    )


GROUPS = """allow: /foo/bar/

user-agent: FooBot
disallow: /
allow: /x/
user-agent: BarBot
disallow: /
allow: /y/


allow: /w/
user-agent: BazBot

user-agent: FooBot
allow: /z/
disallow: /
"""
SPELLINGS = {
    "upper": "USER-AGENT: FooBot\nALLOW: /x/\nDISALLOW: /\n",
    "lower": "user-agent: FooBot\nallow: /x/\ndisallow: /\n",
    "camel": "uSeR-aGeNt: FooBot\nAlLoW: /x/\ndIsAlLoW: /\n",
}
VALUES = {
    agent: f"User-Agent: {agent}\nAllow: /x/\nDisallow: /\n" for agent in ("FOO BAR", "foo bar", "FoO bAr")
}
LINE = 2083 * 8
LONG = "/x/" + "a" * (LINE - len("/x/") - len("disallow: ") + 1 - 3)
LONG_A, LONG_B = ("/x/" + letter * (LINE - len("/x/") - len("allow: ") + 1 - 3) for letter in "ab")

CASES = [
    Case("empty file", "", [("FooBot", ""), ("", "")], []),
    Case("no agent, no URL", "user-agent: FooBot\ndisallow: /\n", [("", "")], [("FooBot", "")]),
    foobot("lines", "disallow: /\n", "", "/x/y"),
    Case("unknown lines", "foo: FooBot\nbar: /\n", [("FooBot", f"{FOO}/x/y")], []),
    Case("no colons", "user-agent FooBot\ndisallow /\n", [], [("FooBot", f"{FOO}/x/y")]),
    Case(
        "groups",
        GROUPS,
        [
            ("FooBot", f"{FOO}/x/b"),
            ("FooBot", f"{FOO}/z/d"),
            ("BarBot", f"{FOO}/y/c"),
            ("BarBot", f"{FOO}/w/a"),
            ("BazBot", f"{FOO}/z/d"),
        ],
        [
            ("FooBot", f"{FOO}/y/c"),
            ("BarBot", f"{FOO}/z/d"),
            *((agent, f"{FOO}/foo/bar/") for agent in ("FooBot", "BarBot", "BazBot")),
        ],
    ),
    *(
        Case(
            f"a {other.partition(':')[0]} line between user agents",
            f"User-agent: {agent}\n{other}\nUser-agent: *\nDisallow: /\n",
            [],
            [("FooBot", f"{FOO}/"), ("BarBot", f"{FOO}/")],
        )
        for agent, other in (
            ("BarBot", "Sitemap: https://foo.bar/sitemap"),
            ("FooBot", "Invalid-Unknown-Line: unknown"),
        )
    ),
    *(
        Case(f"names in {how} case", content, [("FooBot", f"{FOO}/x/y")], [("FooBot", f"{FOO}/a/b")])
        for how, content in SPELLINGS.items()
    ),
    *(
        Case(
            f"user agent {value}",
            content,
            [("Foo", f"{FOO}/x/y"), ("foo", f"{FOO}/x/y")],
            [("Foo", f"{FOO}/a/b"), ("foo", f"{FOO}/a/b")],
        )
        for value, content in VALUES.items()
    ),
    Case(
        "user agent up to a space",
        "User-Agent: *\nDisallow: /\nUser-Agent: Foo Bar\nAllow: /x/\nDisallow: /\n",
        [("Foo", f"{FOO}/x/y")],
        [("Foo Bar", f"{FOO}/x/y")],
    ),
    Case("no groups", "", [("FooBot", f"{FOO}/x/y")], []),
    Case(
        "a group for all",
        "user-agent: *\nallow: /\nuser-agent: FooBot\ndisallow: /\n",
        [("BarBot", f"{FOO}/x/y")],
        [("FooBot", f"{FOO}/x/y")],
    ),
    Case(
        "groups of others",
        "user-agent: FooBot\nallow: /\nuser-agent: BarBot\ndisallow: /\nuser-agent: BazBot\ndisallow: /\n",
        [("QuxBot", f"{FOO}/x/y")],
        [],
    ),
    foobot("paths in lower case", "disallow: /x/\n", "", "/x/y"),
    foobot("paths in upper case", "disallow: /X/\n", "/x/y", ""),
    foobot("longest match 1", "disallow: /x/page.html\nallow: /x/\n", "", "/x/page.html"),
    foobot("longest match 2", "allow: /x/page.html\ndisallow: /x/\n", "/x/page.html", "/x/"),
    foobot("empty rules", "disallow: \nallow: \n", "/x/page.html", ""),
    foobot("equal rules 1", "disallow: /\nallow: /\n", "/x/page.html", ""),
    foobot("with and without a slash", "disallow: /x\nallow: /x/\n", "/x/", "/x"),
    foobot("equal rules 2", "disallow: /x/page.html\nallow: /x/page.html\n", "/x/page.html", ""),
    foobot("longest match 3", "allow: /page\ndisallow: /*.html\n", "/page", "/page.html"),
    foobot("longest match 4", "allow: /x/page.\ndisallow: /*.html\n", "/x/page.html", "/x/y.html"),
    Case(
        "the group for FooBot alone",
        "User-agent: *\nDisallow: /x/\nUser-agent: FooBot\nDisallow: /y/\n",
        [("FooBot", f"{FOO}/x/page")],
        [("FooBot", f"{FOO}/y/page")],
    ),
    foobot(
        "a URL in a query",
        "Disallow: /\nAllow: /foo/bar?qux=taz&baz=http://foo.bar?tar&par\n",
        "/foo/bar?qux=taz&baz=http://foo.bar?tar&par",
        "",
    ),
    foobot("not ASCII", "Disallow: /\nAllow: /foo/bar/ツ\n", "/foo/bar/%E3%83%84", ""),
    foobot("encoded", "Disallow: /\nAllow: /foo/bar/%E3%83%84\n", "/foo/bar/%E3%83%84", ""),
    foobot("encoded ASCII", "Disallow: /\nAllow: /foo/bar/%62%61%7A\n", "/foo/bar/%62%61%7A", ""),
    foobot(
        "a star inside",
        "Disallow: /foo/bar/quz\nAllow: /foo/*/qux\n",
        "/foo/quz /foo//quz /foo/bax/quz",
        "/foo/bar/quz",
    ),
    foobot(
        "a dollar",
        "Disallow: /foo/bar$\nAllow: /foo/bar/qux\n",
        "/foo/bar/qux /foo/bar/ /foo/bar/baz",
        "/foo/bar",
    ),
    foobot("comments", "# Disallow: /\nDisallow: /foo/quz#qux\nAllow: /\n", "/foo/bar", "/foo/quz"),
    Case(
        "index.html",
        "User-Agent: *\nAllow: /allowed-slash/index.html\nDisallow: /\n",
        [("foobot", "http://foo.com/allowed-slash/"), ("foobot", "http://foo.com/allowed-slash/index.html")],
        [
            ("foobot", "http://foo.com/allowed-slash/index.htm"),
            ("foobot", "http://foo.com/anyother-url"),
        ],
    ),
    foobot("a long line refuses", f"disallow: {LONG}/qux\n", "/fux", f"{LONG}/fux"),
    foobot(
        "long lines allow",
        f"disallow: /\nallow: {LONG_A}/qux\nallow: {LONG_B}/qux\n",
        f"{LONG_A}/qux {LONG_B}/fux",
        "/",
    ),
    *(
        foobot(
            f"documentation: {rule}",
            f"disallow: /\nallow: {rule}\n",
            "/fish /fish.html /fish/salmon.html /fishheads /fishheads/yummy.html /fish.html?id=anything",
            f"/bar /Fish.{other} /catfish /?id=fish",
        )
        for rule, other in (("/fish", "asp"), ("/fish*", "bar"))
    ),
    foobot(
        "documentation: /fish/",
        "disallow: /\nallow: /fish/\n",
        "/fish/ /fish/salmon /fish/?salmon /fish/salmon.html /fish/?id=anything",
        "/bar /fish /fish.html /Fish/Salmon.html",
    ),
    foobot(
        "documentation: /*.php",
        "disallow: /\nallow: /*.php\n",
        "/filename.php /folder/filename.php /folder/filename.php?parameters //folder/any.php.file.html"
        " /filename.php/ /index?f=filename.php/",
        "/bar /php/ /index?php /windows.PHP",
    ),
    foobot(
        "documentation: /*.php$",
        "disallow: /\nallow: /*.php$\n",
        "/filename.php /folder/filename.php",
        "/bar /filename.php?parameters /filename.php/ /filename.php5 /php/ /filename?php /aaaphpaaa"
        " //windows.PHP",
    ),
    foobot(
        "documentation: /fish*.php",
        "disallow: /\nallow: /fish*.php\n",
        "/fish.php /fishheads/catfish.php?parameters",
        "/bar /Fish.PHP",
    ),
    foobot("precedence 1", "allow: /p\ndisallow: /\n", "/page", ""),
    foobot("precedence 2", "allow: /folder\ndisallow: /folder\n", "/folder/page", ""),
    foobot("precedence 3", "allow: /page\ndisallow: /*.htm\n", "", "/page.htm"),
    foobot("precedence 4", "allow: /$\ndisallow: /\n", "/", "/page.html"),
]


def allowed(content: str, agent: str, url: str) -> bool:
    return robots.parse(content.encode(), agent, []).check(url, agent) is None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_expectations(case: Case) -> None:
    for agent, url in case.allowed:
        assert allowed(case.content, agent, url), (agent, url[:100])
    for agent, url in case.refused:
        assert not allowed(case.content, agent, url), (agent, url[:100])


def test_all_of_them_are_here() -> None:
    """Of the 145 answers about a URL all but the three below."""
    assert sum(len(case.allowed) + len(case.refused) for case in CASES) == 142


def test_where_we_differ() -> None:
    """Of URLs that are not percent-encoded, or encoded where they need not be: RFC 9309, 2.2.2, decodes both.

    Google leaves the encoding of URLs to its caller, and says of the last that it is not to be relied on.
    """
    for rule in ("ツ", "%E3%83%84"):
        assert allowed(
            f"User-agent: FooBot\nDisallow: /\nAllow: /foo/bar/{rule}\n", "FooBot", f"{FOO}/foo/bar/ツ"
        )
    content = "User-agent: FooBot\nDisallow: /\nAllow: /foo/bar/%62%61%7A\n"
    assert allowed(content, "FooBot", f"{FOO}/foo/bar/baz")


VALID = {"user-agent", "allow", "disallow", "sitemap"}


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r", "mixed"])
def test_line_ends(ends: str) -> None:
    file = ["User-Agent: foo", "Allow: /some/path", "User-Agent: bar", "", "", "Disallow: /"]
    if ends == "mixed":
        content = "\n".join(file[:1]) + "\n" + "\r\n".join(file[1:3]) + "\n\r\n\nDisallow: /"
    else:
        content = ends.join(file)
    for text in (content, content + ("\n" if ends == "mixed" else ends)):
        assert [name in VALID for name, _ in lines(text.encode())] == [True] * 4


@pytest.mark.parametrize(
    ("content", "valid", "unknown"),
    [
        (b"\xef\xbb\xbfUser-Agent: foo\nAllow: /AnyValue\n", 2, 0),
        (b"\xef\xbbUser-Agent: foo\nAllow: /AnyValue\n", 2, 0),
        (b"\xefUser-Agent: foo\nAllow: /AnyValue\n", 2, 0),
        (b"\xef\x11\xbfUser-Agent: foo\nAllow: /AnyValue\n", 1, 1),
        (b"User-Agent: foo\n\xef\xbb\xbfAllow: /AnyValue\n", 1, 1),
    ],
)
def test_byte_order_marks(content: bytes, valid: int, unknown: int) -> None:
    names = [name in VALID for name, _ in lines(content)]
    assert (names.count(True), names.count(False)) == (valid, unknown)


def test_sitemaps_stand_anywhere() -> None:
    group_ = "User-Agent: foo\nAllow: /some/path\nUser-Agent: bar\n\n\n"
    for content in (
        f"{group_}Sitemap: http://foo.bar/sitemap.xml\n",
        f"Sitemap: http://foo.bar/sitemap.xml\n{group_}",
    ):
        assert ("sitemap", b"http://foo.bar/sitemap.xml") in list(lines(content.encode()))
        assert group(content.encode(), "foo").values("allow") == ["/some/path"]
