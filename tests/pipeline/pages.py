"""Pages with the text that people found in them: the project's own, and real ones of the private data."""

import gzip
import json
import re
from collections.abc import Callable, Iterator

from lxml import html

from pipeline.demo import content
from pipeline.extraction.page import Page
from tests.shared import SAMPLE, SHARED

Pages = Callable[[], Iterator[tuple[Page, str]]]

GOLD = re.compile(r"<!--gold-->(.*?)<!--/gold-->", re.DOTALL)
URL = re.compile(r'<(?:link rel="canonical" href|meta property="og:url" content)="([^"]+)"')


def sample() -> Iterator[tuple[Page, str]]:
    """A page of each kind from tests/data/pages, whose text stands between its marks `<!--gold-->`."""
    for path in sorted((SAMPLE / "pages").glob("*.html")):
        body = path.read_bytes()
        marked = body.decode("latin-1" if b"iso-8859-1" in body else "utf-8")
        (url,) = URL.findall(marked)
        if golds := GOLD.findall(marked):
            body = body.replace(b"<!--gold-->", b"").replace(b"<!--/gold-->", b"")
            yield Page(body, url, fetched="2026-01-01"), " ".join(map(text, golds))


def demo() -> Iterator[tuple[Page, str]]:
    """The HTML pages of the demo's web: prose in seven layouts, copies and other languages included."""
    for address, page in content.pages().items():
        if content.content_type(page).startswith("text/html"):
            posts = " ".join(text(post.html) for post in content.posts(page))
            yield Page(content.render(page), f"https://{address}", fetched="2026-01-01"), posts


def english() -> list[str]:
    """The English texts of the demo."""
    found = [page for page in content.pages().values() if page.lang == "en"]
    return [" ".join(text(post.html) for post in content.posts(page)) for page in found]


def text(fragment: str) -> str:
    return " ".join(html.fromstring(f"<div>{fragment}</div>").itertext())


def news(every: int = 8) -> Iterator[tuple[Page, str]]:
    for line in (SHARED / "html/news/gold.jsonl").read_text("utf-8").splitlines()[::every]:
        gold = json.loads(line)
        body = gzip.decompress((SHARED / "html/news" / gold["html"]).read_bytes())
        yield Page(body, gold["url"], fetched="2026-01-01"), gold["gold_text"]


def readability(every: int = 9) -> Iterator[tuple[Page, str]]:
    for source in sorted((SHARED / "html/readability").glob("*/source.html"))[::every]:
        expected = html.fromstring(source.with_name("expected.html").read_text("utf-8")).text_content()
        yield Page(source.read_bytes(), "http://fakehost/test/page", fetched="2026-01-01"), expected
