"""What can become of a link: the names, and the exception that carries one."""

from typing import Final

REASONS: Final[dict[str, str]] = {
    "ok": "stored whole, of a wanted content type",
    "invalid_url": "not an http(s) URL that a browser could open",
    "port_refused": "a port on which no web site is served to strangers",
    "address_refused": "a host with an address that is not globally routable",
    "dns_error": "the name does not resolve",
    "connect_error": "no address accepted a connection",
    "tls_error": "no trusted TLS session",
    "timeout": "no byte for `read_timeout`, or not complete within `deadline`",
    "connection_reset": "closed by the server before the response was complete",
    "protocol_error": "not a well-formed HTTP/1 response",
    "headers_too_large": "more than 128 KiB or 100 lines of headers",
    "too_large": "more than `max_bytes`, encoded or decoded; stored up to the cap, not extracted",
    "decode_error": "the content coding is unknown, corrupt or ends early",
    "content_type": "not one of `content_types`, by its header or by its first bytes",
    "empty_body": "no bytes",
    "robots_disallowed": "robots.txt forbids it",
    "robots_unreachable": "robots.txt failed (5xx, 429, network): forbidden for now (RFC 9309, 2.3.1.4)",
    "noai": "X-Robots-Tag or a robots meta element says that it is not for the training of AI",
    "noindex": "the same places say that it is not for an index",
    "noarchive": "the same places say that no copy is to be kept",
    "content_usage": "Content-Usage, header or robots.txt: train-ai=n",
    "content_signal": "Content-Signal, robots.txt or header: ai-train=no",
    "tdm_reservation": "the TDM Reservation Protocol, header or meta element: rights are reserved",
    "too_many_redirects": "more than `max_redirects`, or a loop",
    "redirect_refused": "a redirect to something that is not an http(s) URL",
    "redirect_excluded_domain": "a redirect to a domain of `links.exclude_domains`; not followed",
    "redirect_media_extension": "a redirect to an image, video, sound, archive or program; not followed",
    "redirect_media_host": "a redirect to a host of images, video or sound; not followed",
    "redirect_reddit_internal": "a redirect to Reddit; not followed",
    "redirect_social_host": "a redirect to a social network; not followed",
    "redirect_wikipedia": "a redirect to Wikipedia, unless `links.wikipedia` keeps it; not followed",
    "same_final_url": "redirects lead this link and another, which is kept, to the same page",
    "http_1xx": "an interim status as the last one",
    "http_3xx": "a redirect status without a location; with --pages, any redirect that no filter rejects",
    "http_4xx": "status 400 to 499, but for 429",
    "http_429": "too many requests, after retries",
    "http_5xx": "status 500 to 599, after retries of 503",
    "http_9xx": "a status of no class (600 to 999)",
    "host_failing": "not tried: the host failed `host_failures` times in a row",
    "deferred": "not tried within `batch_time`",
    "no_network": "not tried: no host could be reached for `max_outage`",
    "not_captured": "with --pages: no record of it in the WARC files",
    "error": "a fault of the crawler, logged with its traceback",
}

# Not tried, for reasons that are not the host's: asked for by every batch until one has tried.
UNTRIED: Final = frozenset({"deferred", "no_network"})
# What may pass, on the host's side or on ours: asked for once more by the next batch, and by `--retry`; with
# `no_network`, what `max_failed_share` bounds. A name that does not resolve may be a resolver that is down,
# an untrusted certificate a clock that is wrong.
TRANSIENT: Final = frozenset(
    {"connect_error", "connection_reset", "dns_error", "error", "host_failing", "http_429", "http_5xx"}
    | {"robots_unreachable", "timeout", "tls_error"}
)


class Failure(Exception):  # noqa: N818 - of the web, not of the program
    """An exchange that ends here. reason: a key of REASONS. retry: another attempt may succeed."""

    def __init__(self, reason: str, detail: str, *, retry: bool = False) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.retry = retry


def http_reason(status: int) -> str:
    """The reason for a final status that is not 2xx."""
    if status == 429:
        return "http_429"
    return f"http_{status // 100 if status < 600 else 9}xx"
