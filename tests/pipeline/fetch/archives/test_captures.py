"""Pages from WARC files: our own again, and those of others."""

import functools
import io
import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from pipeline.batch import funnel
from pipeline.corpus.files import Corpus
from pipeline.corpus.partitions import Table
from pipeline.errors import UserError
from pipeline.fetch.archives import captures
from pipeline.fetch.archives.warc import read_body
from pipeline.fetch.http.response import Response
from pipeline.fetch.outcome import REASONS
from pipeline.links.urls import link_id
from pipeline.stages import archives
from tests.pipeline import fetching
from tests.shared import SAMPLE, SHARED, needs_shared
from tests.web import FAULTS, Page, Server, page

WARCS = sorted(path for root in (SAMPLE, SHARED / "html") for path in (root / "warc").glob("*.warc*"))


def again(warc: Path, directory: Path) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Everything in a WARC, fetched from it."""
    counts: Counter[str] = Counter()
    found = captures.table(list(captures.captures(str(warc), counts)))
    seen = dict(zip(found["link_id"].to_pylist(), found["url"].to_pylist(), strict=True))
    links = fetching.links(*seen.values()).set_column(0, "link_id", [list(seen)])
    target = directory / "part.warc.gz"
    pages, outcomes = captures.fetch(links, found, fetching.settings(), target, batch="b")
    fetching.validate(target)
    rows = pages.to_pylist()
    assert Counter(row["reason"] for row in rows) == outcomes
    assert set(outcomes) <= set(REASONS)
    assert sum(outcomes.values()) == len(seen)
    return rows, counts


def test_what_we_stored_comes_back(tmp_path: Path) -> None:
    """Every exchange of a hostile crawl, with the same outcome and the same content."""
    untimed = [n for n in FAULTS if FAULTS[n].__qualname__.startswith("_kept") and "redirect" not in n]
    with Server({"/a": page("<html>é")}) as server:
        urls = [f"http://x.test/fault/{name}" for name in untimed] + ["http://x.test/a"]
        options = fetching.settings(server, robots=False, host_failures=1000)
        before = {row["url"]: row for row in fetching.crawl(urls, options, tmp_path)}
    (tmp_path / "again").mkdir()
    rows, counts = again(tmp_path / "part.warc.gz", tmp_path / "again")
    assert counts["ok"] + counts["revisit"] == counts["request"] == counts["metadata"]
    assert len(rows) > 20
    for row in rows:
        old = before[row["final_url"]]
        if old["reason"] != "ok" and re.search("brotli|zstd|mixed", row["final_url"]):
            continue  # stored decoded, as far as that went
        if row["final_url"].endswith("/gzip_not"):  # from the wire an error, in an archive a stale header
            assert (old["reason"], row["reason"]) == ("decode_error", "ok")
            continue
        columns = ("reason", "status", "content_type", "charset", "n_bytes")
        assert [row[name] for name in columns] == [old[name] for name in columns], row["final_url"]
        assert fetching.body(row, tmp_path / "again") == fetching.body(old, tmp_path)


@pytest.mark.parametrize("path", WARCS, ids=lambda path: path.name)
def test_the_files_of_others(path: Path, tmp_path: Path) -> None:
    _, counts = again(path, tmp_path)
    assert sum(counts.values()) >= 1
    with path.open("rb") as file:
        kinds: Counter[str] = Counter()
        try:
            for record in ArchiveIterator(file):
                kinds[record.rec_type] += 1
        except Exception:  # noqa: BLE001 - broken ones: what comes before counts
            kinds["broken"] += 1
    assert counts["ok"] + counts["no_http"] + counts["bad_url"] == kinds["response"]
    assert {k: n for k, n in counts.items() if k not in ("ok", "no_http", "bad_url", "truncated")} == {
        k: n for k, n in kinds.items() if k not in ("response", "broken")
    }


def test_the_newest_200_is_taken(tmp_path: Path) -> None:
    rows = [
        {"link_id": "x", "url": "http://a.test/", "path": "p", "offset": n, "length": 1, "status": status}
        | {"fetched": 1000 * n, "host": "a.test"}
        for n, status in enumerate([404, 200, 200, 500])
    ]
    taken: list[Any] = []
    load = captures._load
    captures._load = lambda capture, *args, **kwargs: taken.append(capture) or load(None, *args, **kwargs)  # type: ignore
    try:
        links = fetching.links("http://a.test/").set_column(0, "link_id", [["x"]])
        _, counts = captures.fetch(
            links, captures.table(rows), fetching.settings(), tmp_path / "w.warc.gz", batch="b"
        )
    finally:
        captures._load = load
    assert [capture["offset"] for capture in taken] == [2]
    assert counts == {"not_captured": 1}


STALE = ["gzip", "x-gzip", "GZIP", "deflate", "br", "zstd", "br, gzip"]


@pytest.mark.parametrize("coding", STALE)
def test_a_content_coding_that_is_only_in_the_header(coding: str, tmp_path: Path) -> None:
    """The body was stored decoded: it is read as it is, by extraction, too."""
    html = b"<!DOCTYPE html><title>t</title><p>Decoded already."
    path = tmp_path / "theirs.warc.gz"
    with path.open("wb") as file:
        writer = WARCWriter(file)
        headers = [("Content-Type", "text/html"), ("Content-Encoding", coding)]
        record = writer.create_warc_record(
            "http://a.test/",
            "response",
            payload=io.BytesIO(html),
            length=len(html),
            http_headers=StatusAndHeaders("200 OK", headers, protocol="HTTP/1.1"),
        )
        writer.write_record(record)
    with path.open("rb") as file:
        assert read_body(file, 0, path.stat().st_size).body == html
    (tmp_path / "again").mkdir()
    (row,), _ = again(path, tmp_path / "again")
    assert (row["reason"], row["n_bytes"]) == ("ok", len(html))
    assert fetching.body(row, tmp_path / "again") == html


@needs_shared
def test_a_real_crawl_with_stale_headers_is_not_lost(tmp_path: Path) -> None:
    rows, _ = again(SHARED / "html" / "warc" / "clueweb-quirk.warc.gz", tmp_path)
    assert Counter(row["reason"] for row in rows) == {"ok": 29}


@functools.cache
def three_records(gzip: bool) -> bytes:
    buffer = io.BytesIO()
    writer = WARCWriter(buffer, gzip=gzip)
    for n in range(3):
        headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.1")
        body = b"<html>%d" % n
        record = writer.create_warc_record(
            f"http://a.test/{n}",
            "response",
            payload=io.BytesIO(body),
            length=len(body),
            http_headers=headers,
        )
        writer.write_record(record)
    return buffer.getvalue()


@settings(max_examples=60)
@given(st.booleans(), st.floats(0, 0.999), st.binary(max_size=20))
def test_a_damaged_file_is_read_up_to_the_damage(gzip: bool, where: float, damage: bytes) -> None:
    """Whatever is cut off or overwritten: no exception, and the records before it are there."""
    content = bytearray(three_records(gzip))
    at = int(len(content) * where)
    if damage:
        content[at : at + len(damage)] = damage
    else:
        del content[at:]
    with tempfile.NamedTemporaryFile(suffix=".warc.gz") as file:
        file.write(content)
        file.flush()
        counts: Counter[str] = Counter()
        rows = list(captures.captures(file.name, counts))
        assert len(rows) == counts["ok"]
        assert len(rows) >= int(where * 3) - 1
        for row in rows:
            loaded = captures._load(row, fetching.settings(), None, {})
            if isinstance(loaded, Response):
                loaded.body.close()


def test_what_is_no_warc(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        archives.check(str(tmp_path / "missing.warc.gz"))
    (tmp_path / "x.warc").write_bytes(b"something else\n" * 10)
    with pytest.raises(UserError, match="not one HTTP response"):
        archives.check(str(tmp_path / "x.warc"))


def test_the_command_takes_pages_from_files(tmp_path: Path) -> None:
    """A WARC alone is the source of links, too; beside a list of links it is only where pages come from."""
    from pipeline import crawl

    pages: dict[Any, Page] = {f"/{n}": page(f"<html>{n}") for n in range(9)}
    with Server(pages) as server:
        urls = [f"http://h{n % 3}.example.org/{n}" for n in range(9)]
        fetching.crawl(urls, fetching.settings(server, robots=False), tmp_path)
    warc = str(tmp_path / "part.warc.gz")
    corpus = str(tmp_path / "corpus")
    common = ["--pages", warc, "--corpus", corpus, "--until", "fetch", "--set", "cluster.workers=1"]
    crawl.main([*common, "--batch", "alone", "--set", "links.rows=4"])
    found = Corpus.open(corpus)
    counts = funnel.funnel(found, "alone")
    assert counts["submissions"] == {"ok": 9, "warcinfo": 1, "request": 9, "metadata": 9}
    assert counts["fetch"] == {"ok": 9}
    parts = Table(found, "pages", "alone").sealed()
    assert parts is not None
    rows = [
        row for n in range(len(parts.parts)) for row in Table(found, "pages", "alone").read(n).to_pylist()
    ]
    assert {row["doc_id"] for row in rows} == {link_id(url) for url in urls}
    for row in rows:
        stored = fetching.body(row, Path(corpus) / "pages" / "alone" / "warc")
        assert stored == f"<html>{row['url'][-1]}".encode()

    listed = tmp_path / "list.txt"
    listed.write_text("\n".join([*urls[:4], "http://h9.example.org/unknown"]))
    crawl.main([*common, "--submissions", str(listed), "--batch", "beside"])
    counts = funnel.funnel(found, "beside")
    assert counts["submissions"] == {"ok": 5, "capture": 9, "warcinfo": 1, "request": 9, "metadata": 9}
    assert counts["fetch"] == {"ok": 4, "not_captured": 1}
