import json
import re
from collections import Counter
from pathlib import Path

import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st
from w3lib.url import canonicalize_url

from pipeline import demo
from pipeline.links import urls
from pipeline.settings import Links
from tests.shared import SAMPLE, SHARED, private


@pytest.mark.parametrize(
    ("posted", "requested"),
    [
        ("http://example.com/a?b=c", "http://example.com/a?b=c"),
        ("http://example.com/?a=1&amp;b=2", "http://example.com/?a=1&b=2"),
        ("http://example.com/?a=1&amp;amp;b=2", "http://example.com/?a=1&b=2"),
        ("http://example.com/?a&copy=1", "http://example.com/?a&copy=1"),
        ("http://example.com/?a=&lt;b&gt;", "http://example.com/?a=<b>"),
        ("  http://example.com/a \n", "http://example.com/a"),
        ("\ufeff\u200bhttp://example.com/\u00a0", "http://example.com/"),
        ("http://example.com/two words", "http://example.com/two%20words"),
        ("http://example.com/bro\r\nken", "http://example.com/broken"),
        ("http://example.com/caf\u00e9", "http://example.com/caf%C3%A9"),
        ("http://b\u00fccher.example/", "http://xn--bcher-kva.example/"),
        ("Http://example.com/", "http://example.com/"),
        ("http:///example.com/", "http://example.com/"),
        ("http:\\\\example.com\\a", "http://example.com/a"),
        ("http://http://example.com/", "http://example.com/"),
        ("http:// example.com/", "http://example.com/"),
        ("//example.com/a", "http://example.com/a"),
        ("example.com", "http://example.com"),
        ("www.example.com/a b", "http://www.example.com/a%20b"),
        ("example.com:8080/a", "http://example.com:8080/a"),
        ("b\u00fccher.example/", "http://xn--bcher-kva.example/"),
        ("", None),
        ("hello world", None),
        ("just-a-word", None),
        ("/r/news/comments/1", None),
        ("ftp://example.com/a", None),
        ("mailto:someone@example.com", None),
        ("someone@example.com", None),
        ("javascript:alert(1)", None),
        ("magnet:?xt=urn:btih:0", None),
    ],
)
def test_clean(posted: str, requested: str | None) -> None:
    assert urls.clean(posted) == requested


@pytest.mark.parametrize(
    ("posted", "canonical"),
    [
        ("http://example.com", "http://example.com/"),
        ("HTTP://EXAMPLE.com/A", "http://example.com/A"),
        ("http://example.com:80/", "http://example.com/"),
        ("https://example.com:443/", "https://example.com/"),
        ("https://example.com:80/", "https://example.com:80/"),
        ("http://example.com:/", "http://example.com/"),
        ("http://example.com.:8080/", "http://example.com:8080/"),
        ("http://example.com/a#b", "http://example.com/a"),
        ("http://example.com/a/../b/./c", "http://example.com/b/c"),
        ("http://example.com/%7euser/%c3%a9", "http://example.com/~user/%C3%A9"),
        ("http://example.com/%%34%31", "http://example.com/A"),
        ("http://example.com/?b=2&a=1", "http://example.com/?a=1&b=2"),
        ("http://example.com/?a=1&amp;b=2", "http://example.com/?a=1&b=2"),
        ("http://example.com/a?", "http://example.com/a"),
        ("http://example.com/a?utm_source=x&b=1&utm_medium=y&fbclid=z", "http://example.com/a?b=1"),
        ("http://example.com/a?UTM_Source=x", "http://example.com/a"),
        ("http://example.com/a?utm%5Fsource=x", "http://example.com/a"),
        ("http://b\u00fccher.example/", "http://xn--bcher-kva.example/"),
        ("http://[::0:1]:8080/", "http://[::1]:8080/"),
        ("http://192.0.2.1/a", "http://192.0.2.1/a"),
        ("http://under_score.example.com/", "http://under_score.example.com/"),
        ("http://user:password@example.com/", None),
        ("http://example.com:99999/", None),
        ("http://example.com:port/", None),
        ("http://", None),
        ("http:///", None),
        ("http://[Imgur](http://i.imgur.com/wYAGLql.png)", None),
        ("http://a..b/", None),
        ("http://" + "a" * 64 + ".com/", None),
        ("http://" + "a." * 130 + "com/", None),
        ("http://example.com/" + "a" * 8_000, None),
        ("http://ex ample.com/", None),
        ("http://[::1", None),
        ("not a url", None),
    ],
)
def test_canonical(posted: str, canonical: str | None) -> None:
    assert urls.canonical(posted) == canonical


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://example.com/a", "https://example.com/a"),
        ("http://example.com/a", "http://www.example.com/a"),
        ("http://example.com/a", "http://example.com/a/"),
        ("http://example.com/a", "http://example.com/A"),
        ("http://example.com/?gallery=1", "http://example.com/?gallery=2"),
        ("http://example.com/?cid=1", "http://example.com/?cid=2"),
        ("http://example.com/?source=1", "http://example.com/?source=2"),
        ("http://example.com/?1", "http://example.com/?2"),
        ("http://example.com/a%2Fb", "http://example.com/a/b"),
    ],
)
def test_what_may_be_different_pages_stays_different(one: str, other: str) -> None:
    assert urls.canonical(one) != urls.canonical(other)


PARTS = st.lists(
    st.sampled_from(
        [
            *(
                "http://",
                "https:",
                "//",
                "/",
                "\\",
                "www.",
                "Example.com",
                "b\u00fccher.de",
                "xn--",
                "[::1]",
                "@",
                ":80",
            ),
            *(
                ":8080",
                "..",
                ".",
                "/./",
                "%",
                "%41",
                "%2F",
                "%25",
                "%zz",
                "%C3",
                "?",
                "a=1",
                "&",
                "&amp;",
                "amp;",
                ";",
            ),
            *(
                "utm_source=x",
                "fbclid=",
                "#",
                " ",
                "\t",
                "\n",
                "\0",
                "\u00e9",
                "\u3002",
                "\u200b",
                "|",
                "[",
                "'",
                "+",
            ),
            *("=", "&lt;", "<", "{", "~", "!", "$", "*", "(", ",", "_", "-"),
        ]
    )
    | st.text(max_size=3),
    max_size=12,
).map("".join)
POSTED = PARTS | PARTS.map("http://example.com/".__add__) | PARTS.map("http://".__add__)


@given(POSTED)
@example("http://example.com/?%26amp;=1")
def test_canonical_is_idempotent_and_the_same_for_the_cleaned_url(posted: str) -> None:
    canonical = urls.canonical(posted)
    cleaned = urls.clean(posted)
    if cleaned is not None:
        assert urls.clean(cleaned) == cleaned
        assert urls.canonical(cleaned) == canonical
    if canonical is not None:
        assert urls.canonical(canonical) == canonical
        assert urls.clean(canonical) == canonical
        assert re.fullmatch(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d+)?/[!-~]*", canonical)
        assert urls.host(canonical)


@given(
    st.sampled_from(["http", "https"]),
    st.lists(st.text("az09-_", min_size=1, max_size=5), min_size=1).map(".".join),
    st.text("azAZ09_~!$&'()*+,=:@.-/", max_size=20),
)
def test_the_short_cut_takes_only_what_is_canonical(scheme: str, host: str, path: str) -> None:
    url = f"{scheme}://{host}/{path}"
    if urls._CANONICAL.fullmatch(url):
        assert urls._canonicalize(url) == url
        assert canonicalize_url(url) == url
    else:
        assert "/." in url


def test_link_id() -> None:
    assert urls.link_id("http://example.com/") == "9aba6a18c5a5d94534a3b99c485d4547"  # b2sum -l 128


@pytest.mark.parametrize(
    ("url", "host", "domain"),
    [
        ("http://news.bbc.co.uk/a", "news.bbc.co.uk", "bbc.co.uk"),
        ("https://example.com:8080/?a=b", "example.com", "example.com"),
        ("http://someone.blogspot.com/", "someone.blogspot.com", "blogspot.com"),
        ("http://[2001:db8::1]:80/", "2001:db8::1", "2001:db8::1"),
        ("http://192.0.2.1/", "192.0.2.1", "192.0.2.1"),
        ("http://localhost/", "localhost", "localhost"),
        ("http://co.uk/", "co.uk", "co.uk"),
    ],
)
def test_host_and_registered_domain(url: str, host: str, domain: str) -> None:
    assert urls.host(url) == host
    assert urls.registered_domain(url) == domain


def test_the_public_suffix_list_is_not_downloaded() -> None:
    assert urls._suffixes.suffix_list_urls == ()
    assert not urls._suffixes._cache.enabled


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://example.com/a.html", None),
        ("http://example.com/report.pdf", None),
        ("http://example.com/jpg", None),
        ("http://example.com/?file=a.jpg", None),
        ("http://photos.zip/", None),
        ("http://notreddit.com/", None),
        ("http://myoutube.com/", None),
        ("http://example.com/A.JPG", "media_extension"),
        ("http://example.com/a.tar.gz?b=c", "media_extension"),
        ("http://example.com/a.mp3", "media_extension"),
        ("https://www.reddit.com/r/news/", "reddit_internal"),
        ("https://old.reddit.com/", "reddit_internal"),
        ("https://redd.it/abc", "reddit_internal"),
        ("https://i.redd.it/a.png", "media_host"),
        ("https://v.redd.it/abc", "media_host"),
        ("http://imgur.com/gallery/a", "media_host"),
        ("http://m.youtube.com/watch?v=a", "media_host"),
        ("https://mobile.twitter.com/a", "social_host"),
        ("http://en.wikipedia.org/wiki/Corpus", "wikipedia"),
        ("http://de.m.wikipedia.org/wiki/Korpus", "wikipedia"),
        ("http://en.wikipedia.org/wiki/File:A.jpg", "wikipedia"),
        ("http://commons.wikimedia.org/wiki/A", None),
        ("http://en.wiktionary.org/wiki/a", None),
    ],
)
def test_reject(url: str, reason: str | None) -> None:
    assert urls.reject(url, Links()) == reason


def test_wikipedia_can_be_kept_and_domains_excluded() -> None:
    settings = Links(wikipedia=True, exclude_domains=["Example.com", "*.news.example.org", ".example.net"])
    assert urls.reject("http://en.wikipedia.org/wiki/Corpus", settings) is None
    assert urls.reject("http://example.com/", settings) == "excluded_domain"
    assert urls.reject("http://a.b.example.com/", settings) == "excluded_domain"
    assert urls.reject("http://www.news.example.org/", settings) == "excluded_domain"
    assert urls.reject("http://www.example.net/", settings) == "excluded_domain"
    assert urls.reject("http://example.org/", settings) is None
    assert urls.reject("http://notexample.com/", settings) is None


def test_every_listed_host_can_match() -> None:
    for host in urls.HOST_REASONS:
        assert urls.reject(f"http://{host}/", Links()) == urls.HOST_REASONS[host]


def posted(path: Path) -> list[str]:
    """The URLs of a dump, as they were posted."""
    data = path.read_bytes()
    if path.suffix == ".zst":
        data = zstandard.ZstdDecompressor().stream_reader(data).read()
    lines = (line for line in data.splitlines() if line.endswith(b"}"))
    return [url for line in lines if (url := json.loads(line).get("url"))]


@pytest.mark.parametrize(
    ("path", "refused", "verdicts"),
    [
        (
            SAMPLE / "submissions/eras.ndjson",
            ["/r/Tools/com", "ftp://files.", "https://[hal"],
            {None: 23, "media_host": 3, "reddit_internal": 2, "social_host": 1, "wikipedia": 1},
        ),
        (
            demo.DUMP,
            ["mailto:edito"],
            {
                None: 118,
                "media_host": 4,
                "media_extension": 1,
                "reddit_internal": 5,
                "social_host": 1,
                "wikipedia": 2,
            },
        ),
        *private(
            (
                SHARED / "reddit" / "umbrae_links_sample.ndjson.zst",
                [
                    *("ftp://ftp.fa", "ftp://reddit", "http://Karee", "http://[IMG]"),
                    *(*["http://[Imgu"] * 3, "http://[Redd"),
                ],
                {
                    "media_host": 65_894,
                    None: 29_335,
                    "media_extension": 3_701,
                    "reddit_internal": 1_835,
                    "social_host": 792,
                    "wikipedia": 337,
                },
            )
        ),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_posted_urls(path: Path, refused: list[str], verdicts: dict[str | None, int]) -> None:
    urls_ = posted(path)
    canonical = [urls.canonical(url) for url in urls_]
    assert [u[:12] for u in sorted(u for u, c in zip(urls_, canonical, strict=True) if c is None)] == refused
    for url in sorted(set(filter(None, canonical)))[::10]:
        assert urls._canonicalize(url) == url
    assert Counter(urls.reject(url, Links()) for url in canonical if url) == verdicts
