"""What the demo's web serves besides prose: refusals, errors, redirects, slow responses, other files."""

import struct
import zlib
from dataclasses import dataclass, field, replace

__all__ = ["HTML", "Answer", "add"]

HTML = "text/html; charset=utf-8"


@dataclass(frozen=True)
class Answer:
    """A response. delay: seconds before the first byte. drip: seconds between bytes, if not 0."""

    status: int = 200
    body: bytes = b""
    content_type: str = HTML
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drip: float = 0.0


def add(answers: dict[str, Answer]) -> dict[str, Answer]:
    """The answers, by host and path, with the oddities added and those of the slow host delayed."""
    slow = {
        address: replace(answer, delay=2.0)
        for address, answer in answers.items()
        if address.startswith("slow.harbour.example/notices/")
    }
    return {**answers, **slow, **_oddities()}


def _oddities() -> dict[str, Answer]:
    news, film, code = (
        "https://news.harbour.example",
        "http://film-notes.example",
        "https://plain-algorithms.example",
    )
    return {
        "members-only.example/robots.txt": Answer(
            body=b"User-agent: *\nDisallow: /\n", content_type="text/plain"
        ),
        "under-repair.example/robots.txt": Answer(500, b"the disk is full", "text/plain"),
        "broken.example/closed-in-2009": Answer(410, b"<h1>Gone</h1>"),
        "broken.example/report": Answer(500, b"<h1>Internal Server Error</h1>"),
        "moved.example/random": _redirect(301, f"{code}/guide/random-enough.html"),
        "moved.example/first": _redirect(302, "/second"),
        "moved.example/second": _redirect(307, "http://www.moved.example/third"),
        "www.moved.example/third": _redirect(308, f"{film}/essays/trains"),
        "moved.example/round": _redirect(302, "/and-round"),
        "moved.example/and-round": _redirect(302, "/round"),
        "moved.example/metadata": _redirect(302, "http://169.254.169.254/latest/meta-data/"),
        "moved.example/passwd": _redirect(302, "file:///etc/passwd"),
        "moved.example/vanished": _redirect(301, f"{news}/2008/01/01/vanished.html"),
        "drip.example/live": Answer(body=b"<p>Still here.</p>\n" * 10_000, drip=0.2),
        "attic.example/leaflet.pdf": Answer(
            body=_pdf("Harbour Swimming Club, summer programme"), content_type="application/pdf"
        ),
        "attic.example/postcard": Answer(body=_png(48, 32)),
        "attic.example/blank": Answer(),
        "attic.example/app": Answer(body=b'<title>App</title><div id="root"></div><script>start()</script>'),
    }


def _redirect(status: int, location: str) -> Answer:
    return Answer(status, b"<p>This page has moved.</p>", headers={"Location": location})


def _pdf(text: str) -> bytes:
    """A page of A6 with a line of text (ISO 32000-1, section 7.5: body, cross-reference table, trailer)."""
    drawn = f"BT /F1 12 Tf 24 380 Td ({text}) Tj ET"
    objects = (
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 298 420] /Contents 4 0 R"
        " /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream",
    )
    document, offsets = "%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(document))
        document += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    document += (
        f"xref\n0 5\n0000000000 65535 f \n{table}"
        f"trailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n{len(document)}\n%%EOF\n"
    )
    return document.encode("ascii")


def _png(width: int, height: int) -> bytes:
    """A picture of the sea: two shades of blue (PNG specification, section 5)."""
    rows = b"".join(
        b"\0" + (b"\x9f\xc5\xe8" if row < height // 2 else b"\x1f\x4e\x79") * width for row in range(height)
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
