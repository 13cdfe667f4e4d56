"""robots.txt by RFC 9309, parsed by protego."""

from dataclasses import dataclass

from protego import Protego

from pipeline.fetch.http.content_coding import decoded
from pipeline.fetch.http.response import Response
from pipeline.fetch.outcome import Failure, http_reason

MAX_REDIRECTS = 5  # RFC 9309, section 2.3.1.2


@dataclass(frozen=True)
class Rules:
    """What an origin allows. blocked: why none of its pages may be asked for. parsed: None allows all."""

    parsed: Protego | None = None
    blocked: Failure | None = None
    crawl_delay: float = 0.0  # seconds

    def check(self, url: str, product: str) -> Failure | None:
        """Why `product` may not fetch a URL; None if it may."""
        if self.parsed and not self.parsed.can_fetch(url, product):
            return Failure("robots_disallowed", f"robots.txt, for {product}")
        return self.blocked


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


def read(response: Response, product: str, *, redirected: bool = False) -> Rules:
    """The rules in a final response: 2xx is parsed, 5xx and 429 disallow, any other status allows (2.3.1.3).

    429 asks for fewer requests; taking it for "no rules, go on" would answer with more. A file longer than
    the cap counts as far as it was read (section 2.5); bytes that are not UTF-8 are replaced.
    """
    status, failure = response.status, response.failure
    if status is None or status >= 500 or status == 429:
        failure = failure if status is None else Failure(http_reason(status), f"status {status}")
        return unreachable(failure or Failure("error", "no response"), redirected=redirected)
    if not 200 <= status < 300:
        return ALLOW_ALL
    if failure and failure.reason != "too_large":
        return unreachable(failure, redirected=redirected)
    response.body.seek(0)
    content = bytearray()
    try:
        for piece in decoded(
            iter(lambda: response.body.read(65536), b""), response.header("content-encoding")
        ):
            content += piece
            if len(content) >= response.n_bytes:
                break
    except Failure as corrupt:
        if not failure:  # a truncated file ends early by our own doing
            return unreachable(corrupt, redirected=redirected)
    parsed = Protego.parse(bytes(content).decode("utf-8-sig", "replace"))
    return Rules(parsed=parsed, crawl_delay=max(parsed.crawl_delay(product) or 0.0, 0.0))
