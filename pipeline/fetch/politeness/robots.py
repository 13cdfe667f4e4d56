"""robots.txt by RFC 9309: groups by `groups`, paths by Protego, and what it says of the use of content."""

import contextlib
import math
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from protego import Protego

from pipeline.fetch import consent
from pipeline.fetch.http.content_coding import decoded
from pipeline.fetch.http.response import Response
from pipeline.fetch.outcome import Failure, http_reason
from pipeline.fetch.politeness.groups import Group, group

__all__ = ["ALLOW_ALL", "MAX_REDIRECTS", "Rules", "Statement", "content", "parse", "read", "unreachable"]

MAX_REDIRECTS = 5  # RFC 9309, section 2.3.1.2


class Paths(Protocol):
    """Some URLs of an origin, as Protego disallows them."""

    def can_fetch(self, url: str, user_agent: str) -> bool:
        """Whether a URL is none of them."""


class Statement(NamedTuple):
    """That the content of an origin is not to be trained on, where `paths` disallows it."""

    reason: str
    evidence: str
    paths: Paths


@dataclass(frozen=True)
class Rules:
    """What an origin allows. blocked: why none of its pages may be asked for. parsed: None allows all."""

    parsed: Protego | None = None
    blocked: Failure | None = None
    crawl_delay: float = 0.0  # seconds
    statements: tuple[Statement, ...] = ()

    def check(self, url: str, product: str) -> Failure | None:
        """Why `product` may not fetch a URL, or has no use for it; None if it may."""
        if self.parsed and not self.parsed.can_fetch(url, product):
            return Failure("robots_disallowed", f"robots.txt, for {product}")
        return self.blocked or self.use(url)

    def use(self, url: str) -> Failure | None:
        """Why what is at a URL may not be used; None if it may."""
        for reason, evidence, paths in self.statements:
            if not paths.can_fetch(url, "*"):
                return Failure(reason, evidence)
        return None

    def also(self, statements: tuple[Statement, ...]) -> "Rules":
        """These rules with more statements."""
        return replace(self, statements=(*self.statements, *statements))


ALLOW_ALL = Rules()

# The host itself cannot be reached, and no robots.txt would change that: its own name says more.
_OF_THE_HOST = frozenset(
    {"address_refused", "connect_error", "deferred", "dns_error", "host_failing", "port_refused"}
)


def unreachable(failure: Failure, *, redirected: bool = False) -> Rules:
    """The rules of an origin whose robots.txt could not be had: complete disallow (section 2.3.1.4).

    redirected: the failure is that of another place, to which robots.txt was redirected.
    """
    if redirected or failure.reason not in _OF_THE_HOST:
        failure = Failure("robots_unreachable", f"{failure.reason}: {failure.detail}")
    return Rules(blocked=failure)


def read(response: Response, product: str, honoured: Collection[str], *, redirected: bool = False) -> Rules:
    """The rules in a final response: 2xx is parsed, 5xx and 429 disallow, any other status allows (2.3.1.3).

    429 asks for fewer requests; taking it for "no rules, go on" would answer with more. A file longer than
    the cap counts as far as it was read (section 2.5).
    """
    status, failure = response.status, response.failure
    if status is None or status >= 500 or status == 429:
        failure = failure if status is None else Failure(http_reason(status), f"status {status}")
        return unreachable(failure or Failure("error", "no response"), redirected=redirected)
    if not 200 <= status < 300:
        return ALLOW_ALL
    if failure and failure.reason != "too_large":
        return unreachable(failure, redirected=redirected)
    try:
        return parse(content(response), product, honoured)
    except Failure as corrupt:
        return unreachable(corrupt, redirected=redirected)


def content(response: Response) -> bytes:
    """The content of a response of which little is expected. Raises Failure("decode_error").

    A body that is cut at its cap ends where it does.
    """
    response.body.seek(0)
    found = bytearray()
    try:
        for piece in decoded(iter(lambda: response.body.read(65536), b""), response.coding):
            found += piece
            if len(found) >= response.n_bytes:
                break
    except Failure:
        if not response.failure:
            raise
    return bytes(found)


def parse(content: bytes, product: str, honoured: Collection[str]) -> Rules:
    """The rules of a robots.txt for `product`. honoured: the settings' `fetch.consent`."""
    ours = group(content, product)
    delays = [0.0]
    for value in ours.values("crawl-delay"):
        with contextlib.suppress(ValueError):
            delays.append(float(value))
    return Rules(
        parsed=Protego.parse(ours.paths()),
        crawl_delay=max(filter(math.isfinite, delays)),
        statements=tuple(_statements(ours, honoured)),
    )


def _statements(ours: Group, honoured: Collection[str]) -> Iterable[Statement]:
    for reason, line, allows, words in (
        ("content_usage", "content-usage", consent.content_usage, "train-ai=n"),
        ("content_signal", "content-signal", consent.content_signal, "ai-train=no"),
    ):
        if reason in honoured and (paths := _refused(ours.values(line), allows)):
            yield Statement(reason, f"robots.txt {line}: {words}", paths)


def _refused(values: Iterable[str], allows: Callable[[str], bool | None]) -> Protego | None:
    """Where training is refused, as paths that are disallowed; None if nowhere.

    values: `[path] preferences`. As for Allow and Disallow the longest path decides, but of equal paths the
    refusal (draft-ietf-aipref-attach-05, section 3.1). A rule that is silent on training changes nothing.
    """
    allowed: dict[str, bool] = {}
    for value in values:
        path, preferences = value.split(None, 1) if re.match(r"/\S*\s", value) else ("/", value)
        answer = allows(preferences)
        if answer is not None:
            allowed[path] = allowed.get(path, True) and answer
    if all(allowed.values()):
        return None
    rules = [f"{'Allow' if allow else 'Disallow'}: {path}" for path, allow in allowed.items()]
    return Protego.parse("\n".join(["User-agent: *", *rules]))
