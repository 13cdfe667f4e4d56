"""Whatever a server does on a kept connection, a stored body was sent for its URL."""

import contextlib
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from pipeline.fetch.http import connection as connections
from pipeline.fetch.http.client import Client
from pipeline.fetch.http.target import parse
from tests.pipeline.fetching import body, crawl, settings
from tests.web import Page, Server, page
from tests.web.server import Request

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"


def text(n: int) -> bytes:
    return b"<html><p>the text of page %d" % n


def final(n: int) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(text(n)) + text(n)


def script(*pieces: bytes, pause: float = 0.0, stays: bool = True) -> Page:
    """Sends the pieces with a pause before each but the first."""

    def answer(connection: socket.socket, request: Request, server: Server) -> bool:
        for n, piece in enumerate(pieces):
            if n:
                server.stopped.wait(pause)
            connection.sendall(piece)
        return stays

    return Page(answer)


def fetched(pages: dict[str, Page], directory: Path) -> tuple[list[Any], Server]:
    """The rows of pages of one host, asked for in their order."""
    with Server(dict(pages)) as server:
        return asked(server, pages, directory), server


def asked(server: Server, pages: dict[str, Page], directory: Path, **changes: Any) -> list[Any]:
    """The rows of pages that a server has; checks that no body is another page's."""
    options = settings(server, robots=False, host_failures=1000, **changes)
    rows = crawl([f"http://a.test{path}" for path in pages], options, directory)
    for n, row in enumerate(rows):
        stored = body(row, directory) if row["warc"] else b""
        for other in range(len(rows)):
            assert other == n or text(other) not in stored, (row, stored)
    return rows


EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"


@pytest.mark.parametrize(
    "interim",
    [
        EARLY_HINTS,
        EARLY_HINTS * 3,
        b"HTTP/1.1 102 Processing\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + EARLY_HINTS + b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 199 Odd\r\nContent-Length: 30\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_interim_responses_are_read_past(interim: bytes, tmp_path: Path) -> None:
    """Before a slow final response, too, and on the connection that the next page uses."""
    pages = {"/0": script(interim, final(0), pause=0.1), "/1": page("<html><p>the text of page 1")}
    rows, server = fetched(pages, tmp_path)
    assert [row["reason"] for row in rows] == ["ok", "ok"]
    assert [row["status"] for row in rows] == [200, 200]
    assert server.connections == 1


def test_interim_responses_are_bounded(tmp_path: Path) -> None:
    long = b"HTTP/1.1 103 Early Hints\r\n" + b"".join(
        b"Link: <%d>%s\r\n" % (n, b"x" * 9000) for n in range(9)
    )
    pages = {
        "/0": script(EARLY_HINTS * 100 + final(0)),
        "/1": script((long + b"\r\n") * 3 + final(1)),
        "/2": script(b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000 + final(2)),
        "/3": script(final(3)),
    }
    rows, _ = fetched(pages, tmp_path)
    assert [row["reason"] for row in rows] == [
        "protocol_error",
        "headers_too_large",
        "headers_too_large",
        "ok",
    ]


def test_a_switch_of_protocols_is_no_page(tmp_path: Path) -> None:
    switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
    rows, server = fetched({"/0": script(switch, final(0), pause=0.1), "/1": script(final(1))}, tmp_path)
    assert [row["reason"] for row in rows] == ["http_1xx", "ok"]
    assert server.connections == 2


SURPLUS = {
    "after_the_length": final(0) + final(9),
    "text_after_the_length": final(0) + b"and more",
    "after_chunks": HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(text(0))
    + text(0)
    + b"\r\n0\r\n\r\n"
    + final(9),
    "after_204": b"HTTP/1.1 204 No Content\r\n\r\n" + final(9),
    "after_304": b"HTTP/1.1 304 Not Modified\r\n\r\n" + final(9),
    "after_a_redirect": b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n" + final(9),
    "after_404": b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno" + final(9),
}


@pytest.mark.parametrize("answer", SURPLUS.values(), ids=SURPLUS)
def test_a_connection_with_surplus_is_closed(answer: bytes, tmp_path: Path) -> None:
    rows, server = fetched({"/0": script(answer), "/1": script(final(1))}, tmp_path)
    assert rows[1]["reason"] == "ok"
    assert body(rows[1], tmp_path) == text(1)
    assert server.connections == 2


LATE = {
    "a_body_of_204": (b"HTTP/1.1 204 No Content\r\nContent-Length: %d\r\n\r\n" % len(final(9)), final(9)),
    "a_body_of_304": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: %d\r\n\r\n" % len(final(9)), final(9)),
    "two_framings": (
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 200\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        final(9),
    ),
    "a_length_with_a_sign": (HEAD + b"Content-Length: +3\r\n\r\nabc", final(9)),
    "a_length_with_an_underscore": (HEAD + b"Content-Length: 0_3\r\n\r\nabc", final(9)),
    "two_codings": (
        HEAD + b"Transfer-Encoding: identity, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        final(9),
    ),
}


@pytest.mark.parametrize("pieces", LATE.values(), ids=LATE)
def test_a_response_that_ends_in_two_ways_is_the_last(pieces: tuple[bytes, bytes], tmp_path: Path) -> None:
    """The rest comes when the next request may be out: there is no telling, so there is no next one."""
    rows, server = fetched({"/0": script(*pieces, pause=0.1), "/1": script(final(1))}, tmp_path)
    assert rows[1]["reason"] == "ok"
    assert body(rows[1], tmp_path) == text(1)
    assert server.connections == 2


def test_bytes_before_a_request_are_no_response(tmp_path: Path) -> None:
    """A server that speaks first: its words answer nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        to = {"*": f"http://127.0.0.1:{listener.getsockname()[1]}"}
        options = settings(connect_to=to, robots=False, retries=0, threads=1)

        def speak() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(final(9))
                connection.settimeout(5)
                with contextlib.suppress(OSError):
                    while connection.recv(4096):
                        pass

        thread = threading.Thread(target=speak)
        thread.start()

        class Patient(connections._Bounded):
            """Gives the server the time to speak."""

            def connect(self, address: Any) -> None:
                super().connect(address)
                self.recv(1, socket.MSG_PEEK)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(connections, "_Bounded", Patient)
            client = Client(options, "test")
            response = client.get(
                parse("http://a.test/0"), seconds=3.0, max_bytes=1000, content_types=["text/html"]
            )
            client.close()
        thread.join()
    with response.body:
        assert response.failure is not None
        assert response.failure.reason == "protocol_error"
        assert response.failure.retry


@pytest.mark.parametrize("size", [b"-5", b"-1", b"-0x3", b"-ffffffffffffffffffff"])
def test_a_negative_chunk_size(
    size: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n" + size + b"\r\nabc\r\n0\r\n\r\n"
    rows, _ = fetched({"/0": script(chunked), "/1": script(final(1))}, tmp_path)
    assert [row["reason"] for row in rows] == ["protocol_error", "ok"]
    assert capfd.readouterr().err == ""
    assert caplog.text == ""


INTERIMS = st.sampled_from(
    [b"", b"", EARLY_HINTS, b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 102 P\r\nContent-Length: 9\r\n\r\n"]
)
STATUS = st.sampled_from(
    [b"200 OK"] * 6 + [b"204 No", b"205 R", b"304 N", b"404 N", b"500 E", b"101 S", b"999 D"]
)
FRAMING = st.sampled_from(
    [
        lambda b: (b"Content-Length: %d\r\n" % len(b), b),
        lambda b: (b"Content-Length: %d\r\n" % len(b), b),
        lambda b: (b"Content-Length: %d\r\n" % (len(b) - 5), b),
        lambda b: (b"Content-Length: %d\r\n" % (len(b) + 5), b),
        lambda b: (b"Content-Length: -1\r\n", b),
        lambda b: (b"Content-Length: +%d\r\n" % len(b), b),
        lambda b: (b"Content-Length: 0\r\n", b),
        lambda b: (b"Transfer-Encoding: chunked\r\n", b"%x\r\n%s\r\n0\r\n\r\n" % (len(b), b)),
        lambda b: (
            b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
            b"%x\r\n%s\r\n0\r\n\r\n" % (len(b), b),
        ),
        lambda b: (b"Transfer-Encoding: chunked\r\n", b"-4\r\n%s\r\n0\r\n\r\n" % b),
        lambda b: (b"Transfer-Encoding: chunked\r\n", b"%x\r\n%s\r\n0\r\nX: y\r\n" % (len(b), b)),
        lambda b: (b"Transfer-Encoding: gzip, chunked\r\n", b"%x\r\n%s\r\n0\r\n\r\n" % (len(b), b)),
        lambda b: (b"Transfer-Encoding: chunked\r\nno colon\r\n", b"%x\r\n%s\r\n0\r\n\r\n" % (len(b), b)),
        lambda b: (b"Connection: close\r\n", b),
        lambda b: (b"", b),
    ]
)
JUNK = st.sampled_from([b"", b"", b"", b"\r\n", b"junk", b"HTTP/1.1 100 Continue\r\n\r\n", b"other"])


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, bytes, bytes, Any, bytes]:
    return draw(INTERIMS), draw(INTERIMS), draw(STATUS), draw(FRAMING), draw(JUNK)


@pytest.fixture(scope="module")
def one_server() -> Iterator[Server]:
    with Server() as server:
        yield server


@examples(max_examples=30)
@given(st.lists(answers(), min_size=2, max_size=5), st.booleans())
def test_a_stored_body_was_sent_for_its_url(one_server: Server, scripts: list[Any], pause: bool) -> None:
    """Any sequence of interim responses, statuses, framings right and wrong, and surplus."""
    pages = {}
    for n, (first, second, status, framing, junk) in enumerate(scripts):
        headers, content = framing(text(n))
        whole = b"HTTP/1.1 " + status + b"\r\nContent-Type: text/html\r\n" + headers + b"\r\n" + content
        whole += final(n) if junk == b"other" else junk
        pages[f"/{n}"] = script(first, second + whole, pause=0.01 if pause else 0.0)
    one_server.pages = dict(pages)
    quick = {"threads": 1, "read_timeout": 0.05, "deadline": 0.2, "retries": 0, "backoff": 0.001}
    with tempfile.TemporaryDirectory() as directory:
        rows = asked(one_server, pages, Path(directory), **quick)
        for n, row in enumerate(rows):
            if row["reason"] == "ok":
                assert body(row, Path(directory))[:20] in b"<html><p>the text of page %d" % n
