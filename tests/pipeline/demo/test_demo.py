"""The demo: its web over real sockets, its dump, and that both are as planned, stage by stage."""

import http.client
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lxml.html
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import zstandard

from dedup import near_duplicates
from dedup.words import normalize
from pipeline import configuration, demo
from pipeline.corpus.schemas import OK
from pipeline.demo import build, content, plan
from pipeline.demo.web import Request, Web
from pipeline.extraction.one_page import extract_page
from pipeline.extraction.page import Page
from pipeline.fetch import fetch
from pipeline.fetch.archives.warc import read_body
from pipeline.links import candidates
from pipeline.stages import documents, links
from pipeline.submissions import sources
from shards import tokenizer

COPIES = {  # word 5-shingles in common (Jaccard), at least and at most
    ("lighthouse-journal.example/the-light-at-skerra", "coastwise.example"): (0.8, 1),
    ("lighthouse-journal.example/how-to-read-a-tide-table", "coastwise.example"): (0.8, 1),
    ("news.harbour.example/footbridge-vote", "morning-wire.example"): (0.8, 1),
    ("news.harbour.example/rovers-late-winner", "morning-wire.example"): (0.8, 1),
    ("kitchen-science.example/how-sourdough-works", "the-digest.example"): (0.8, 1),
    ("plain-algorithms.example/hash-tables", "the-digest.example"): (0.8, 1),
    ("lighthouse-journal.example/fog-signals", "lighthouse-journal.example/print-fog-signals"): (1, 1),
    ("commonplace.example/on-walking", "mirror.commonplace.example"): (1, 1),
    ("news.harbour.example/storm-closes-coast-road", "morning-wire.example/coast-road-inquiry"): (0.45, 0.55),
}
COPIES = {  # a host stands for its page of the same name
    (one, other if "/" in other else f"{other}/{one.partition('/')[2]}"): span
    for (one, other), span in COPIES.items()
}


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with demo.serve() as served:
        yield served


@pytest.fixture(scope="module")
def texts(web: Web) -> dict[str, str]:
    """What extraction finds in each page, by host and slug."""
    found = {}
    for page in content.pages().values():
        kind = content.content_type(page).partition(";")[0]
        text = extract_page(Page(content.render(page), f"http://{page.host}{page.path}", content_type=kind))
        found[f"{page.host}/{page.slug}"] = text.text if text else ""
    return found


def get(web: Web, host: str, path: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(web.base.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", path, headers={"Host": host})
        response = connection.getresponse()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
    finally:
        connection.close()


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def ngrams(items: list[Any], n: int) -> set[tuple[Any, ...]]:
    return {tuple(items[i : i + n]) for i in range(len(items) - n + 1)}


def test_pages_are_prose_and_many() -> None:
    copies = {other for _, other in COPIES}
    english = [
        page for page in content.pages().values() if page.lang == "en" and page.host != "attic.example"
    ]
    assert len([page for page in english if f"{page.host}/{page.slug}" not in copies]) >= 60
    assert all(250 <= len(page.body.split()) <= 700 for page in english)
    assert len({content.sites()[page.host].layout for page in english}) == 7
    assert {p.lang for p in content.pages().values()} == {"en", "fr", "de", "es", "fi", "ru", "ja"}


def test_every_page_is_served_as_written(web: Web) -> None:
    for page in content.pages().values():
        if page.host == "slow.harbour.example":
            continue
        status, headers, body = get(web, page.host, page.path)
        assert (status, headers["content-length"]) == (200, str(len(body)))
        assert headers["content-type"] == content.content_type(page)
        assert body == content.render(page)


@pytest.mark.parametrize(
    ("host", "path", "status", "kind", "location"),
    [
        ("broken.example", "/gone-fishing", 404, "text/html", None),
        ("broken.example", "/closed-in-2009", 410, "text/html", None),
        ("broken.example", "/report", 500, "text/html", None),
        ("nowhere.example", "/", 404, "text/html", None),
        ("moved.example", "/first", 302, "text/html", "/second"),
        ("moved.example", "/metadata", 302, "text/html", "http://169.254.169.254/latest/meta-data/"),
        ("moved.example", "/random", 301, "text/html", "https://plain-algorithms.example/guide/random-enough.html"),
        ("attic.example", "/leaflet.pdf", 200, "application/pdf", None),
        ("attic.example", "/postcard", 200, "text/html", None),
        ("film-notes.example", "/robots.txt", 404, "text/plain", None),
        ("under-repair.example", "/robots.txt", 500, "text/plain", None),
    ],
)  # fmt: skip
def test_oddities(web: Web, host: str, path: str, status: int, kind: str, location: str | None) -> None:
    got, headers, body = get(web, host, path)
    assert (got, headers.get("location")) == (status, location)
    assert headers["content-type"].startswith(kind)
    assert body.startswith({"/leaflet.pdf": b"%PDF-1.4", "/postcard": b"\x89PNG\r\n"}.get(path, b""))


def test_connections_are_kept_and_trackers_ignored(web: Web) -> None:
    connection = http.client.HTTPConnection(web.base.removeprefix("http://"))
    sizes = []
    for path in ("/viewtopic.php?t=4149", "/viewtopic.php?t=4149&utm_source=share", "/viewtopic.php?u=1"):
        connection.request("GET", path, headers={"Host": "Garden-Talk.example:80"})
        response = connection.getresponse()
        sizes.append((response.status, len(response.read())))
        assert not response.will_close
    connection.close()
    assert sizes[0] == sizes[1] != sizes[2]
    assert [request.status for request in web.log[-3:]] == [200, 200, 404]
    assert isinstance(web.log[-1], Request)


def test_slow_and_dripping(web: Web) -> None:
    started = time.monotonic()
    status, _, body = get(web, "slow.harbour.example", "/notices/the-tide-gauge.html")
    assert (status, time.monotonic() - started >= 2) == (200, True)
    assert b"copper ball" in body
    connection = http.client.HTTPConnection(web.base.removeprefix("http://"))
    connection.request("GET", "/live", headers={"Host": "drip.example"})
    response = connection.getresponse()
    assert int(response.headers["Content-Length"]) > 100_000
    assert response.read(2) == b"<p"
    connection.close()


def test_windows_1252_is_declared_in_the_markup_only(web: Web) -> None:
    _, headers, body = get(web, "old-workshop.example", "/~walter/a-summer-in-orleans.htm")
    assert headers["content-type"] == "text/html"
    assert b"charset=windows-1252" in body
    assert "Hélène’s pâté and the word “assez”" in body.decode("cp1252")
    with pytest.raises(UnicodeDecodeError):
        body.decode("utf-8")


def test_extraction_finds_the_prose_and_little_else(texts: dict[str, str]) -> None:
    for page in content.pages().values():
        prose = [
            lxml.html.fragment_fromstring(post.html, "div").text_content()
            for post in content.posts(page)
            if post.html
        ]
        want, got = Counter(words(" ".join(prose))), Counter(words(texts[f"{page.host}/{page.slug}"]))
        assert (want & got).total() >= 0.9 * want.total(), page
        assert (got - want).total() <= 30, page


def test_copies_are_as_alike_as_planned(texts: dict[str, str]) -> None:
    shingles = {name: ngrams(words(text), 5) for name, text in texts.items()}
    assert {name for pair in COPIES for name in pair} <= set(shingles)
    names = [name for name in shingles if not name.startswith("attic.example/")]
    for number, left in enumerate(names):
        for right in names[:number]:
            low, high = COPIES.get((left, right)) or COPIES.get((right, left)) or (0, 0.02)
            common = len(shingles[left] & shingles[right])
            assert low <= common / len(shingles[left] | shingles[right]) <= high, (left, right)
    assert texts["commonplace.example/on-walking"] == texts["mirror.commonplace.example/on-walking"]


def test_pages_quote_the_benchmark_where_planned_and_nowhere_else(texts: dict[str, str]) -> None:
    encode = tokenizer.load("gpt2").encode
    lines = demo.BENCHMARK.read_text(encoding="utf-8").splitlines()
    examples = {row["id"]: row["question"] for row in map(json.loads, lines)}
    assert len(examples) == len(lines) == 40
    grams = {name: ngrams(list(encode(normalize(text))), 8) for name, text in examples.items()}
    quoted = 0
    for page in content.pages().values():
        tokens = ngrams(list(encode(normalize(texts[f"{page.host}/{page.slug}"]))), 8)
        hits = {name for name, example in grams.items() if example & tokens}
        assert hits == set(page.benchmark), page.slug
        for (
            name
        ) in hits:  # but for its first 8-gram or so, which begins with another token at the start of a text
            assert len(grams[name] & tokens) >= len(grams[name]) - 1
        quoted += bool(hits)
    assert quoted == 2


def test_the_dump_is_that_of_the_plan() -> None:
    assert zstandard.ZstdDecompressor().stream_reader(demo.DUMP.read_bytes()).read() == build.dump()
    assert len(build.dump().splitlines()) == len(plan.submissions()) > 120
    types = {type(json.loads(line)["created_utc"]) for line in build.lines() if line.endswith(b"}\n")}
    assert types == {str, int, float}


def test_the_plan_is_one_fate_a_link() -> None:
    fates: dict[str, set[plan.Fate]] = {}
    for submission in plan.submissions():
        if (url := plan.urls.canonical(submission.url)) and submission.fate.stage != "submissions":
            fates.setdefault(url, set()).add(submission.fate)
    assert all(len(several) == 1 for several in fates.values())
    for url in (f"{page.host}{page.path}" for page in content.pages().values()):
        redirected = url in (
            "plain-algorithms.example/guide/random-enough.html",
            "film-notes.example/essays/trains",
        )
        assert (f"http://{url}" in fates or f"https://{url}" in fates) != redirected, url


def test_package_data_is_small() -> None:
    size = sum(
        file.stat().st_size for file in demo.HERE.rglob("*") if file.is_file() and file.suffix != ".pyc"
    )
    assert size < 600_000


def test_every_link_ends_as_planned(tmp_path: Path) -> None:
    """The stages one after the other, in this process, from the dump over HTTP to near-duplicates."""
    warc = tmp_path / "demo.warc.gz"
    with demo.prepared() as (files, corpus, overrides):
        assert corpus == "demo-corpus"
        settings = configuration.load(overrides=overrides)
        read: Counter[str] = Counter()
        table = pa.Table.from_batches(list(sources.read(files[0], rows=50, counts=read)))
        posted, counts = candidates.candidates(table, settings.links)
        found, merged = links.merge(posted, None, settings.links)
        queue = found.filter(pc.equal(found["reason"], OK))
        pages, fetched = fetch(queue, settings.fetch, warc, batch="demo")
    good = pages.filter(pc.equal(pages["reason"], OK))
    with warc.open("rb") as file:
        bodies = [
            (read_body(file, row["warc_offset"], row["warc_length"]).body, row["charset"])
            for row in good.select(["warc_offset", "warc_length", "charset"]).to_pylist()
        ]
    rows, decided = documents.documents(good, bodies, settings.extract, settings.language, settings.quality)

    fates = {row["url"]: ("links", row["reason"]) for row in found.to_pylist()}
    fates |= {row["url"]: ("fetch", row["reason"]) for row in pages.to_pylist()}
    fates |= {row["url"]: (row["stage"], row["reason"]) for row in rows.to_pylist()}
    kept = rows.filter(pc.equal(rows["reason"], OK)).sort_by([("karma", "descending"), ("url", "ascending")])
    for index, keeper in enumerate(
        near_duplicates(kept["text"], threshold=settings.near_duplicates.threshold)
    ):
        text, other = kept["text"][index].as_py(), kept["text"][int(keeper)].as_py()
        copy = "exact_duplicate" if normalize(text) == normalize(other) else "near_duplicate"
        fates[kept["url"][index].as_py()] = ("shards", OK) if keeper == index else ("near_duplicates", copy)
    assert fates == {url: tuple(fate) for url, fate in plan.links().items()}

    planned = plan.funnel()
    assert read == planned["submissions"]
    assert counts + merged == planned["links"]
    assert fetched == planned["fetch"]
    assert decided == {stage: planned[stage] for stage in ("extract", "language", "quality")}
