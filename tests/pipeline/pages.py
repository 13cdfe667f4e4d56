"""Real pages with the text that people found in them."""

import gzip
import json
from collections.abc import Iterator

from lxml import html

from pipeline.extraction.page import Page
from tests.shared import SHARED


def news(every: int = 8) -> Iterator[tuple[Page, str]]:
    for line in (SHARED / "html/news/gold.jsonl").read_text("utf-8").splitlines()[::every]:
        gold = json.loads(line)
        body = gzip.decompress((SHARED / "html/news" / gold["html"]).read_bytes())
        yield Page(body, gold["url"], fetched="2026-01-01"), gold["gold_text"]


def readability(every: int = 9) -> Iterator[tuple[Page, str]]:
    for source in sorted((SHARED / "html/readability").glob("*/source.html"))[::every]:
        expected = html.fromstring(source.with_name("expected.html").read_text("utf-8")).text_content()
        yield Page(source.read_bytes(), "http://fakehost/test/page", fetched="2026-01-01"), expected
