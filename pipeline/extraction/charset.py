"""From the bytes of a page to its characters: as browsers do it (WHATWG Encoding), with less trust in labels.

A byte order mark decides. Without one, the first encoding that decodes the page without an error wins: UTF-8
(other encodings hardly ever make valid UTF-8 by chance, whatever the label says), the charset of the HTTP
header, the one declared in the page. Next the same again with few errors allowed, for pages that were cut off
or have a broken comment. A page without a usable label is taken for windows-1252, as in browsers, unless a
detector finds a script in it that windows-1252 cannot write. (trafilatura asks the detector first: it then
misreads 37 of 66 English news pages that were converted to windows-1252 without a label.)
"""

import re

from trafilatura.utils import detect_encoding
from w3lib.encoding import html_body_declared_encoding, read_bom, resolve_encoding

__all__ = ["decode"]

FALLBACK = "cp1252"
ESCAPES = {"iso2022": b"\x1b$", "hz": b"~{"}  # encodings within ASCII: codec prefix -> their escape sequence
MAX_ERRORS = 0.05  # as a share of the characters beyond ASCII
NON_LATIN = re.compile("[\u0370-\u1dff\u2e80-\ud7ff\uf900-\ufaff\uff66-\uffdc]")


def decode(body: bytes, label: str | None = None) -> str:
    """The characters of a page. Never fails: what cannot be decoded becomes U+FFFD.

    body: the page as sent, content coding undone. label: the charset of the Content-Type header, if any.
    """
    marked, mark = read_bom(body)
    if marked and mark:
        return body[len(mark) :].decode(marked, "replace")
    if unmarked := _utf16_without_mark(body):
        return body.decode(unmarked, "replace")
    declared = [codec for codec in (_codec(label), html_body_declared_encoding(body)) if codec]
    codecs = [*(codec for codec in declared if _has_escapes(body, codec)), "utf-8", *declared]
    for codec in codecs:
        if (text := _strictly(body, codec)) is not None:
            return text
    for codec in codecs:
        if (text := _leniently(body, codec)) is not None:
            return text
    return _guess(body)


def _codec(label: str | None) -> str | None:
    codec = resolve_encoding(label.strip(" \t\"'")) if label else None
    return {"utf-16": "utf-16-le"}.get(codec, codec) if codec else None


def _utf16_without_mark(body: bytes) -> str | None:
    """The codec of a UTF-16 page without a byte order mark: in its markup every second byte is NUL."""
    start = body[:1024]
    if start.count(0) < len(start) * 0.3:
        return None
    return "utf-16-be" if start[::2].count(0) > start[1::2].count(0) else "utf-16-le"


def _has_escapes(body: bytes, codec: str) -> bool:
    return any(codec.startswith(prefix) and begin in body for prefix, begin in ESCAPES.items())


def _strictly(body: bytes, codec: str) -> str | None:
    try:
        return body.decode(codec)
    except (LookupError, ValueError):  # not an encoding of text; not in this encoding
        return None


def _leniently(body: bytes, codec: str) -> str | None:
    try:
        text = body.decode(codec, "replace").rstrip("\ufffd")
    except (LookupError, ValueError):
        return None
    beyond_ascii = len(text) - len(text.encode("ascii", "ignore"))
    errors = text.count("\ufffd")
    return text if beyond_ascii and errors <= beyond_ascii * MAX_ERRORS else None


def _guess(body: bytes) -> str:
    text = next((text for codec in detect_encoding(body) if (text := _strictly(body, codec))), "")
    beyond_ascii = len(text) - len(text.encode("ascii", "ignore"))
    if len(NON_LATIN.findall(text)) * 2 > beyond_ascii:
        return text
    return body.decode(FALLBACK, "replace")
