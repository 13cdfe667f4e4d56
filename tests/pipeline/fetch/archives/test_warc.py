"""The WARC that a fetch leaves, and reading it back."""

import contextlib
import gzip
import io
import zlib
from pathlib import Path
from typing import Any

import brotlicffi as brotli
import fastwarc
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed

from pipeline.fetch.archives.warc import read_body
from pipeline.fetch.http.content_coding import PIECE, decoded
from pipeline.fetch.outcome import Failure
from tests.pipeline.fetching import IMPATIENT, body, crawl, settings
from tests.shared import SAMPLE, SHARED, private
from tests.web import FAULTS, Page, Server, page


def test_every_exchange_is_stored(tmp_path: Path) -> None:
    pages: dict[Any, Page] = {
        "/moved": Page(b"moved", "302 Found", {"Location": "/page"}),
        "/page": page("<html>é", X_Odd="caf\xe9"),
    }
    with Server(pages) as server:
        rows = crawl(["http://a.test/moved", "http://a.test/gone"], settings(server), tmp_path)
    with (tmp_path / "part.warc.gz").open("rb") as file:
        records = [
            (
                r.rec_type,
                r.rec_headers.get_header("WARC-Target-URI"),
                r.http_headers,
                r.rec_headers,
                r.content_stream().read(),
            )
            for r in ArchiveIterator(file)
        ]
    assert records[0][0] == "warcinfo"
    assert b"operator: tests@example.org" in records[0][4]
    kinds = [(kind, url) for kind, url, *_ in records[1:]]
    asked = ["http://a.test/robots.txt", "http://a.test/moved", "http://a.test/page", "http://a.test/gone"]
    assert kinds == [(kind, url) for url in asked for kind in ("response", "request", "metadata")]
    responses = [r for r in records if r[0] == "response"]
    assert [r[2].get_statuscode() for r in responses] == ["404", "302", "200", "404"]
    for response, request, metadata in zip(records[1::3], records[2::3], records[3::3], strict=True):
        for other in (request, metadata):
            assert other[3].get_header("WARC-Concurrent-To") == response[3].get_header("WARC-Record-ID")
        assert b"fetchTimeMs: " in metadata[4]
        assert (b"via: http://a.test/moved\r\n" in metadata[4]) == (response[1] == "http://a.test/page")
        assert response[3].get_header("WARC-IP-Address") == "127.0.0.1"
        assert response[3].protocol == "WARC/1.1"
        assert request[2].get_header("Host") == "a.test"
    assert body(rows[0], tmp_path) == "<html>é".encode()
    assert rows[0]["n_bytes"] == 8


def test_a_payload_is_stored_once(tmp_path: Path) -> None:
    """Equal bodies become revisit records, whose pages point to the first; others do not."""
    pages: dict[Any, Page] = {f"/{n}": page("<html>the same") for n in range(5)}
    pages["/typed"] = Page(b"<html>the same", headers={"Content-Type": "application/xhtml+xml"})
    pages["/other"] = page("<html>another")
    with Server(pages) as server:
        urls = [f"http://a.test/{name[1:]}" for name in pages]
        rows = crawl(urls, settings(server, threads=1), tmp_path)
    assert [body(row, tmp_path) for row in rows] == [b"<html>the same"] * 6 + [b"<html>another"]
    assert len({row["warc_offset"] for row in rows}) == 3
    with (tmp_path / "part.warc.gz").open("rb") as file:
        records = [r.rec_headers for r in ArchiveIterator(file) if r.rec_type in ("response", "revisit")]
    revisits = [r for r in records if r.get_header("WARC-Type") == "revisit"]
    first = next(r for r in records if r.get_header("WARC-Target-URI") == "http://a.test/0")
    assert [r.get_header("WARC-Target-URI") for r in revisits] == [f"http://a.test/{n}" for n in range(1, 5)]
    for record in revisits:
        for name in ("Record-ID", "Target-URI", "Date"):
            suffix = {"Record-ID": ""}.get(name, f"-{name}")
            assert record.get_header(f"WARC-Refers-To{suffix}") == first.get_header(f"WARC-{name}")
        assert record.get_header("WARC-Payload-Digest") == first.get_header("WARC-Payload-Digest")
        assert record.get_header("WARC-Profile").endswith("/1.1/revisit/identical-payload-digest")


def test_another_reader_agrees(tmp_path: Path) -> None:
    """FastWARC reads the same records, and finds every digest right."""
    with Server({"/a": page(), "/b": page()}) as server:
        urls = [f"http://{n.replace('_', '-')}.test/fault/{n}" for n in FAULTS if "bomb" not in n]
        crawl(["http://a.test/a", "http://a.test/b", *urls], settings(server, **IMPATIENT), tmp_path)
    path = tmp_path / "part.warc.gz"
    with path.open("rb") as file:
        names = [r.rec_headers.get_header("WARC-Record-ID") for r in ArchiveIterator(file)]
    with path.open("rb") as file:
        found = []
        for record in fastwarc.ArchiveIterator(file, parse_http=False):
            assert record.verify_block_digest(), record.headers
            found.append(record.record_id)
    assert found == names
    assert len(found) > 100


def test_what_was_cut_is_marked(tmp_path: Path) -> None:
    names = {
        "endless_body": "length",
        "drip_body": "time",
        "reset_in_body": "disconnect",
        "pdf": "unspecified",
    }
    with Server() as server:
        urls = [f"http://{n.replace('_', '-')}.test/fault/{n}" for n in names]
        rows = crawl(urls, settings(server, deadline=3.0), tmp_path)
    for row, why in zip(rows, names.values(), strict=True):
        with (tmp_path / row["warc"]).open("rb") as file:
            file.seek(row["warc_offset"])
            record = next(ArchiveIterator(io.BytesIO(file.read(row["warc_length"]))))
        assert row["truncated"]
        assert record.rec_headers.get_header("WARC-Truncated") == why
        assert len(record.content_stream().read()) <= 256 * 1024


def test_reading_something_else_is_an_error(tmp_path: Path) -> None:
    with Server({"/a": page()}) as server:
        crawl(["http://a.test/a"], settings(server), tmp_path)
    with (
        (tmp_path / "part.warc.gz").open("rb") as file,
        pytest.raises(ValueError, match="no HTTP response record"),
    ):
        read_body(file, 0, 300)


@pytest.mark.parametrize(
    ("directory", "at_least"), [(SAMPLE / "warc", 7), *private((SHARED / "html" / "warc", 11))]
)
def test_the_files_of_others_can_be_read(directory: Path, at_least: int) -> None:
    read = 0
    for path in sorted(directory.glob("*.warc*")):
        found = []
        with path.open("rb") as file:
            records = ArchiveIterator(file)
            with contextlib.suppress(
                ArchiveLoadFailed, EOFError
            ):  # some are broken: what comes before counts
                for record in records:
                    if record.rec_type == "response" and record.http_headers:
                        record.content_stream().read()
                        found.append((records.get_record_offset(), records.get_record_length()))
            for offset, length in found:
                read_body(file, offset, length)
        read += len(found)
    assert read >= at_least


ENCODERS = {
    "gzip": lambda data: gzip.compress(data, 1),
    "deflate": lambda data: zlib.compress(data, 1),
    "br": lambda data: brotli.compress(data, quality=1),
    "zstd": lambda data: zstandard.compress(data, 1),
}


@given(
    st.binary(max_size=300_000),
    st.sampled_from(["gzip", "deflate", "gzip, deflate", "br", "zstd", "zstd, br", ""]),
    st.integers(1, 70_000),
)
def test_decoding_undoes_encoding(data: bytes, coding: str, size: int) -> None:
    encoded = data
    for name in filter(None, coding.split(", ")):
        encoded = ENCODERS[name](encoded)
    pieces = list(decoded((encoded[i : i + size] for i in range(0, len(encoded), size)), coding))
    assert b"".join(pieces) == data
    if coding:
        assert all(len(piece) <= PIECE for piece in pieces)


@given(st.binary(min_size=1, max_size=2_000), st.sampled_from(["gzip", "deflate", "br", "zstd"]))
def test_whatever_comes_decoding_ends_or_is_refused(data: bytes, coding: str) -> None:
    with contextlib.suppress(Failure):  # and nothing else
        for piece in decoded([data], coding):
            assert len(piece) <= PIECE
