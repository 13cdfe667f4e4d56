"""A URL made ready to be asked for: parsed once, alike for guard, robots.txt, politeness and wire."""

import contextlib
import re
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests

from pipeline.fetch.outcome import Failure

__all__ = ["DEFAULT_PORTS", "Origin", "Target", "parse", "parse_first"]

Origin = tuple[str, str, int]

DEFAULT_PORTS = {"http": 80, "https": 443}

_HOST = re.compile(r"[a-z0-9_.-]+|[0-9a-f:.]+(%[a-z0-9]+)?")  # a name after IDNA, or an address


class Target(NamedTuple):
    """An absolute http(s) URL without user name, password or fragment; its host is ASCII and lower-case."""

    url: str
    scheme: str
    host: str
    port: int

    @property
    def origin(self) -> Origin:
        """What has a robots.txt of its own."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == DEFAULT_PORTS[self.scheme] else f"{name}:{self.port}"

    def at(self, path: str) -> "Target":
        """Another path of this target's origin."""
        return self._replace(url=f"{self.scheme}://{self.authority}{path}")

    def join(self, location: str) -> "Target":
        """The target of a redirect's Location header. Raises Failure("redirect_refused")."""
        with contextlib.suppress(UnicodeEncodeError):
            # http.client decodes header lines as Latin-1; what servers send there is UTF-8
            location = location.encode("latin-1").decode("utf-8", "replace")
        try:
            return parse(urljoin(self.url, location.strip()))
        except (Failure, ValueError) as error:
            raise Failure("redirect_refused", f"Location: {location[:200]!r} ({error})") from error


def parse(url: str) -> Target:
    """Prepares a URL as requests does (IDNA, percent-encoding), so that nothing reads it differently later.

    A user name or password is dropped, never sent. Raises Failure("invalid_url").
    """
    try:
        prepared = requests.PreparedRequest()
        prepared.prepare_url(url.strip(), {})
        parts = urlsplit(prepared.url or "")
        host = (parts.hostname or "").rstrip(".").lower()
        port = parts.port
    except (requests.RequestException, ValueError) as error:
        raise Failure("invalid_url", f"{url[:200]!r}: {error}") from error
    if parts.scheme not in DEFAULT_PORTS or not _HOST.fullmatch(host) or port == 0:
        raise Failure("invalid_url", f"{url[:200]!r}: expected http(s)://host/…")
    target = Target("", parts.scheme, host, port or DEFAULT_PORTS[parts.scheme])
    clean = urlunsplit((parts.scheme, target.authority, parts.path or "/", parts.query, ""))
    return target._replace(url=clean)


def parse_first(*urls: str | None) -> Target:
    """The first URL that parses: as posted or, where that lacks its scheme or worse, the canonical one."""
    failure = Failure("invalid_url", "no URL")
    for url in urls:
        try:
            return parse(url or "")
        except Failure as error:
            failure = error
    raise failure
