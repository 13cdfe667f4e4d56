"""What publishers say of the use of their pages, beyond who may fetch them.

| signal | where | source |
|---|---|---|
| `noai` | X-Robots-Tag, robots meta element | DeviantArt 2022, https://www.deviantart.com/team/journal/A-New-Directive-for-Opting-Out-of-AI-Datasets-934500371 |
| `noindex`, `none` | X-Robots-Tag, robots meta element | https://developers.google.com/search/docs/crawling-indexing/robots-meta-tag |
| `noarchive`, `nocache` | X-Robots-Tag, robots meta element | of use in training by Microsoft: https://blogs.bing.com/webmaster/september-2023/Announcing-new-options-for-webmasters-to-control-usage-of-their-content-in-Bing-Chat |
| `train-ai=n` | Content-Usage, in headers and robots.txt | draft-ietf-aipref-attach-05, draft-ietf-aipref-vocab-08; RFC 9651 |
| `ai-train=no` | Content-Signal, in robots.txt and headers | Cloudflare 2025, https://contentsignals.org |
| `tdm-reservation: 1` | header, meta element | TDM Reservation Protocol, report of a W3C community group, https://w3c.github.io/tdm-reservation-protocol/spec/ |

A signal that names a crawler (`X-Robots-Tag: name: noai`, `<meta name="name">`) counts if it is ours, beside
those that name nobody. `noimageai` is about images, and not looked for. `politeness.robots` reads the rules in
robots.txt, `politeness.tdmrep` the file tdmrep.json.
"""  # noqa: E501 - addresses

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import http_sf
from lxml import html

from pipeline.fetch.outcome import Failure

__all__ = ["EVIDENCE", "HEAD", "REASONS", "Reader", "Signal", "content_signal", "content_usage"]

HEAD = 256 * 1024  # bytes of a page in which meta elements are looked for: scripts and styles come first
EVIDENCE = "X-Crawl-Consent"  # the header that keeps a meta element's signal where its page is not kept

_DIRECTIVES = {  # of X-Robots-Tag and robots meta elements, and what they come to
    "noai": "noai",
    "noindex": "noindex",
    "none": "noindex",  # noindex, nofollow
    "noarchive": "noarchive",
    "nocache": "noarchive",
}
REASONS = frozenset({*_DIRECTIVES.values(), "content_usage", "content_signal", "tdm_reservation"})
_VALUED = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_AGENT = re.compile(r"\s*([a-z_*-]+)[^\s:]*\s*:")
_EVERYBODY = frozenset({"", "*", "robots"})
_BODY = re.compile(rb"<body\b", re.IGNORECASE)
_META = re.compile(rb"<meta\b[^>]*>?", re.IGNORECASE)
_CLUES = tuple(word.encode() for word in (*_DIRECTIVES, "tdm-reservation"))
_NO_ELEMENTS = re.compile(rb"<!--.*?(?:-->|\Z)|<(script|style)\b.*?(?:</\1|\Z)", re.IGNORECASE | re.DOTALL)
_WIDE = re.compile("utf-?(16|32)|ucs", re.IGNORECASE)

# From the most particular to the most general (draft-ietf-aipref-vocab, with the labels of its revisions of
# 2025): what is said of the first that is mentioned holds.
_TRAINING = ("train-genai", "genai", "train-ai", "ai", "bots")


class Signal(NamedTuple):
    """What a publisher says. reason: a key of `outcome.REASONS`; evidence: where and in which words."""

    reason: str
    evidence: str


@dataclass(frozen=True)
class Reader:
    """Reads signals for one crawler.

    honoured: the reasons for which a page is kept out. product: the crawler's product token (RFC 9309,
    section 2.2.1).
    """

    honoured: Sequence[str]
    product: str

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset({"robots", self.product.lower()})

    def headers(self, headers: Iterable[tuple[str, str]]) -> list[Signal]:
        """The signals in the headers of a response."""
        found: list[Signal] = []
        usage: list[str] = []
        for name, value in headers:
            low = name.lower()
            if low == "x-robots-tag":
                found += [
                    Signal(_DIRECTIVES[directive], f"x-robots-tag: {directive}")
                    for directive in self._directives(value)
                ]
            elif low == "content-usage":
                usage.append(value)
            elif low == "content-signal" and content_signal(value) is False:
                found.append(Signal("content_signal", "content-signal: ai-train=no"))
            elif low == "tdm-reservation" and value.strip() == "1":
                found.append(Signal("tdm_reservation", "tdm-reservation: 1"))
            elif low == EVIDENCE.lower():
                reason, _, evidence = value.partition("; ")
                found += [Signal(reason, evidence)] if reason in REASONS else []
        if usage and content_usage(", ".join(usage)) is False:
            found.append(Signal("content_usage", "content-usage: train-ai=n"))
        return found

    def page(self, head: bytes, charset: str | None = None) -> list[Signal]:
        """The signals in the meta elements of HTML that begins with `head`, before its body.

        Parses only where an element has one of the words. charset: of the Content-Type header.
        """
        if head[:2] in (b"\xff\xfe", b"\xfe\xff") or _WIDE.match(charset or ""):
            codec = "utf-16" if _WIDE.match(charset or "") is None else charset or ""
            try:
                head = head.decode(codec, "replace").encode()
            except LookupError:
                return []
        end = body.start() if (body := _BODY.search(head)) else len(head)
        words = b"".join(_META.findall(head, 0, end)).lower()
        if not any(clue in words for clue in _CLUES):
            return []
        elements = b"".join(_META.findall(_NO_ELEMENTS.sub(b"", head[:end]))) or b"<p>"
        found: list[Signal] = []
        for meta in html.document_fromstring(elements, html.HTMLParser(encoding="iso-8859-1")).iter("meta"):
            name, content = (meta.get("name") or "").strip().lower(), meta.get("content") or ""
            if name in self._names:
                found += [
                    Signal(_DIRECTIVES[directive], f"meta {name}: {directive}")
                    for directive in self._directives(content)
                ]
            elif name == "tdm-reservation" and content.strip() == "1":
                found.append(Signal("tdm_reservation", "meta tdm-reservation: 1"))
        return found

    def refusal(self, signals: Iterable[Signal]) -> Failure | None:
        """The outcome of a page with these signals; None if the settings let it in."""
        for signal in signals:
            if signal.reason in self.honoured:
                return Failure(signal.reason, signal.evidence)
        return None

    def _directives(self, text: str) -> Iterator[str]:
        """Those of _DIRECTIVES that are meant for us. An agent's name holds until the next one."""
        agent = ""
        for part in text.lower().split(","):
            named = _AGENT.match(part)
            if named and named[1] in _VALUED:
                continue
            if named:
                agent, part = named[1], part[named.end() :]
            if agent in _EVERYBODY or agent == self.product.lower():
                yield from (word for word in part.split() if word in _DIRECTIVES)


def content_usage(text: str) -> bool | None:
    """Whether a Content-Usage field or rule lets generative models be trained; None if it does not say.

    A Dictionary of RFC 9651 with Tokens; one that does not parse says nothing.
    """
    try:
        stated: Any = http_sf.parse(text.encode(), tltype="dictionary")
    except http_sf.StructuredFieldError:
        return None
    values = (stated[label][0] for label in _TRAINING if label in stated)
    answers = (str(value) for value in values if isinstance(value, http_sf.Token))
    return next((answer == "y" for answer in answers if answer in ("y", "n")), None)


def content_signal(text: str) -> bool | None:
    """Whether a Content-Signal lets models be trained; None if it does not say."""
    stated = dict(part.replace(" ", "").partition("=")[::2] for part in re.split("[,;]", text.lower()))
    return {"yes": True, "no": False}.get(stated.get("ai-train", ""))
