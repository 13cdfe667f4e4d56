"""The faults, by name: each takes the connection and the request, and answers as no server should."""

import gzip
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import brotlicffi as brotli
import zstandard

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
HTML = b"<!doctype html><title>t</title><p>Some text.</p>"

Fault = Callable[[socket.socket, Any, Any], bool]


def _raw(*pieces: bytes, pause: float = 0.0) -> Fault:
    """Sends the pieces and closes."""

    def answer(connection: socket.socket, request: Any, server: Any) -> bool:
        for piece in pieces:
            connection.sendall(piece)
            server.stopped.wait(pause)
        return False

    return answer


def _endless(head: bytes, piece: Callable[[int], bytes], pause: float = 0.0) -> Fault:
    """Sends pieces for as long as the client takes them."""

    def answer(connection: socket.socket, request: Any, server: Any) -> bool:
        connection.sendall(head)
        n = 0
        while not server.stopped.wait(pause) if pause else not server.stopped.is_set():
            connection.sendall(piece(n))
            n += 1
        return False

    return answer


def _kept(*headers: bytes, status: bytes = b"200 OK", body: bytes = b"") -> Fault:
    """An answer with a right Content-Length on a connection that stays."""

    def answer(connection: socket.socket, request: Any, server: Any) -> bool:
        lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers]
        connection.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        return True

    return answer


def _hang(head: bytes) -> Fault:
    """Sends a beginning and then nothing, with the connection open."""

    def answer(connection: socket.socket, request: Any, server: Any) -> bool:
        connection.sendall(head)
        server.stopped.wait()
        return False

    return answer


def _reset(head: bytes) -> Fault:
    """Sends a beginning, then a TCP reset."""

    def answer(connection: socket.socket, request: Any, server: Any) -> bool:
        if head:
            connection.sendall(head)
            time.sleep(0.05)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    return answer


def _loop_growing(connection: socket.socket, request: Any, server: Any) -> bool:
    n = int(request.path.partition("?")[2] or 0)
    return _kept(b"Location: ?%d" % (n + 1), status=b"302 Found")(connection, request, server)


def _bomb(layers: int = 1, size: int = 16 * 1024 * 1024) -> bytes:
    data = b"".join(_deflated(size))
    for _ in range(layers - 1):
        data = gzip.compress(data)
    return data


def _deflated(size: int) -> Iterator[bytes]:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    for _ in range(size // 1_048_576):
        yield compressor.compress(bytes(1_048_576))
    yield compressor.flush()


_CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
_GZ = gzip.compress(HTML, mtime=0)
_BR = brotli.compress(HTML)
_ZSTD = zstandard.ZstdCompressor().compress(HTML)
_ZEROS = bytes(16 * 1024 * 1024)


def _coded(coding: bytes, body: bytes) -> Fault:
    return _kept(b"Content-Type: text/html", b"Content-Encoding: " + coding, body=body)


def _wide_zstd() -> bytes:
    """A frame whose window is larger than RFC 9659 allows."""
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return compressor.compress(HTML) + compressor.flush()


FAULTS: dict[str, Fault] = {
    # time
    "silence": _hang(b""),
    "drip_head": _endless(b"HTTP/1.1 200 OK\r\nX-A: ", lambda n: b"a", 0.05),
    "drip_headers": _endless(OK, lambda n: b"X-%d: a\r\n" % n, 0.05),
    "drip_body": _endless(OK + b"Content-Length: 100000\r\n\r\n", lambda n: b"a", 0.05),
    "drip_chunks": _endless(_CHUNKED, lambda n: b"1\r\na\r\n", 0.05),
    "drip_chunk_size": _endless(_CHUNKED, lambda n: b"0", 0.05),
    "hang_in_body": _hang(OK + b"Content-Length: 1000\r\n\r\n<html>"),
    "endless_100": _endless(b"", lambda n: b"HTTP/1.1 100 Continue\r\n\r\n", 0.01),
    # size
    "endless_body": _endless(OK + b"\r\n", lambda n: b"<p>endless</p>" * 1000),
    "endless_chunks": _endless(_CHUNKED, lambda n: b"1000\r\n" + b"a" * 4096 + b"\r\n"),
    "endless_trailers": _endless(_CHUNKED + b"1\r\na\r\n0\r\n", lambda n: b"X: " + b"a" * 1000 + b"\r\n"),
    "huge_header": _endless(b"HTTP/1.1 200 OK\r\nX-A: ", lambda n: b"a" * 4096),
    "many_headers": _endless(OK, lambda n: b"X-%d: a\r\n" % n),
    "fat_headers": _endless(OK, lambda n: b"X-%d: %s\r\n" % (n, b"a" * 16_384)),
    "gzip_bomb": _kept(b"Content-Type: text/html", b"Content-Encoding: gzip", body=_bomb()),
    "nested_bomb": _kept(b"Content-Type: text/html", b"Content-Encoding: gzip, gzip", body=_bomb(2)),
    "deflate_bomb": _kept(
        b"Content-Type: text/html",
        b"Content-Encoding: deflate",
        body=zlib.compress(bytes(16 * 1024 * 1024), 9),
    ),
    "brotli_bomb": _coded(b"br", brotli.compress(_ZEROS, quality=5)),
    "zstd_bomb": _coded(b"zstd", zstandard.ZstdCompressor(19).compress(_ZEROS)),
    "mixed_bomb": _coded(b"br, zstd, gzip", gzip.compress(zstandard.compress(brotli.compress(_ZEROS)))),
    # redirects
    "redirect_loop": _kept(b"Location: /fault/redirect_loop", status=b"302 Found"),
    "redirect_growing": _loop_growing,
    "redirect_file": _kept(b"Location: file:///etc/passwd", status=b"302 Found"),
    "redirect_script": _kept(b"Location: javascript:alert(1)", status=b"302 Found"),
    "redirect_garbage": _kept(b"Location: http://[::1", status=b"302 Found"),
    "redirect_nowhere": _kept(status=b"302 Found"),
    # codings
    "gzip": _kept(b"Content-Type: text/html", b"Content-Encoding: gzip", body=_GZ),
    "gzip_trailing": _kept(b"Content-Type: text/html", b"Content-Encoding: gzip", body=_GZ + b"\0\0junk"),
    "gzip_members": _kept(b"Content-Type: text/html", b"Content-Encoding: gzip", body=_GZ + _GZ),
    "deflate": _kept(b"Content-Type: text/html", b"Content-Encoding: deflate", body=zlib.compress(HTML)),
    "deflate_raw": _kept(
        b"Content-Type: text/html", b"Content-Encoding: deflate", body=zlib.compress(HTML)[2:-4]
    ),
    "gzip_corrupt": _kept(b"Content-Type: text/html", b"Content-Encoding: gzip", body=_GZ[:20] + bytes(40)),
    "gzip_cut": _kept(b"Content-Type: text/html", b"Content-Encoding: gzip", body=_GZ[:-12]),
    "gzip_not": _kept(b"Content-Type: text/html", b"Content-Encoding: gzip", body=HTML),
    "brotli": _coded(b"br", _BR),
    "brotli_cut": _coded(b"br", _BR[:-4]),
    "brotli_corrupt": _coded(b"br", b"\xff\xff" + bytes(100)),
    "brotli_trailing": _coded(b"br", _BR + b"junk"),
    "zstd": _coded(b"zstd", _ZSTD),
    "zstd_frames": _coded(b"zstd", _ZSTD + _ZSTD),
    "zstd_cut": _coded(b"zstd", _ZSTD[:-4]),
    "zstd_corrupt": _coded(b"zstd", bytes(100)),
    "zstd_wide_window": _coded(b"zstd", _wide_zstd()),
    "unknown_coding": _coded(b"compress", HTML),
    "many_codings": _kept(
        b"Content-Type: text/html", b"Content-Encoding: " + b"gzip, " * 9 + b"gzip", body=_GZ
    ),
    # protocol
    "length_too_long": _raw(OK + b"Content-Length: 1000\r\n\r\n" + HTML),
    "length_too_short": _raw(OK + b"Content-Length: 20\r\n\r\n" + HTML),
    "length_negative": _raw(OK + b"Content-Length: -5\r\n\r\n" + HTML),
    "lengths_differ": _raw(OK + b"Content-Length: 5\r\nContent-Length: 20\r\n\r\n" + HTML),
    "chunk_size_bad": _raw(_CHUNKED + b"zz\r\n" + HTML + b"\r\n0\r\n\r\n"),
    "chunk_cut": _raw(_CHUNKED + b"ff\r\n" + HTML),
    "chunk_last_missing": _raw(_CHUNKED + b"30\r\n" + HTML + b"\r\n"),
    "chunked": _raw(
        _CHUNKED + b"20;x=y\r\n" + HTML[:32] + b"\r\n10\r\n" + HTML[32:] + b"\r\n0\r\nT: x\r\n\r\n"
    ),
    "garbage": _raw(b"\x16\x03\x01SSH-2.0-OpenSSH\r\n\r\n"),
    "http_09": _raw(HTML),
    "http_10": _raw(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n" + HTML),
    "status_line_only": _raw(b"HTTP/1.1 200 OK\r\n"),
    "odd_headers": _raw(
        OK + b"X-\xff\xe9: \x00\xff\r\n folded\r\nNo colon\r\nSet-Cookie: a=\xff\r\n\r\n" + HTML
    ),
    "close": _raw(b""),
    "reset": _reset(b""),
    "reset_in_head": _reset(b"HTTP/1.1 200 OK\r\nContent-"),
    "reset_in_headers": _reset(OK),
    "reset_in_body": _reset(OK + b"Content-Length: 1000\r\n\r\n<html>"),
    "reset_in_chunks": _reset(_CHUNKED + b"6\r\n<html>\r\n"),
    # content
    "empty": _kept(b"Content-Type: text/html"),
    "no_content": _raw(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "pdf": _kept(b"Content-Type: application/pdf", body=b"%PDF-1.4 ..."),
    "pdf_endless": _endless(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n\r\n", lambda n: b"%PDF" * 1000
    ),
    "pdf_as_html": _kept(b"Content-Type: text/html", body=b"%PDF-1.4 ..."),
    "zeros_as_html": _kept(b"Content-Type: text/html", body=bytes(100)),
    "utf16": _kept(b"Content-Type: text/html", body="<html>é".encode("utf-16")),
    "wrong_charset": _kept(b"Content-Type: text/html; charset=utf-8", body=HTML + b"\xe9\xff"),
    "unknown_charset": _kept(b"Content-Type: text/html; charset=x-none", body=HTML),
    "no_type": _kept(body=HTML),
    "no_type_text": _kept(body=b"just some words"),
    "no_type_binary": _kept(body=bytes(range(256))),
    "odd_type": _kept(b"Content-Type: TEXT/HTML;charset='ISO-8859-1'; x", body=HTML),
    # status
    "status_404": _kept(b"Content-Type: text/html", status=b"404 Not Found", body=HTML),
    "status_404_endless": _endless(b"HTTP/1.1 404 Not Found\r\n\r\n", lambda n: HTML * 100),
    "status_410": _kept(status=b"410 Gone"),
    "status_500": _kept(status=b"500 Oops"),
    "status_503": _kept(b"Retry-After: 0", status=b"503 Busy"),
    "status_304": _raw(b"HTTP/1.1 304 Not Modified\r\n\r\n"),
    "status_999": _kept(status=b"999 Denied"),
}
