"""Where the crawler may connect: links come from strangers, and so do the addresses that names resolve to.

Everything is refused that is not globally routable, by the IANA special-purpose address registries (RFC 6890,
as of 2025) and whatever `ipaddress` adds to them. Whatever spelling a URL used (decimal, octal, hexadecimal,
IDN digits), the decision is made on the address that a socket would connect to, and the connection is made
to that address: there is no second look-up for DNS rebinding to use. A name is refused if any of its
addresses is.
"""

import functools
import ipaddress
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple
from urllib.parse import urlsplit

from pipeline.fetch import one_at_a_time
from pipeline.fetch.http.resolver import Endpoint, Lookup, Resolver
from pipeline.fetch.http.target import DEFAULT_PORTS, Target
from pipeline.fetch.outcome import Failure

__all__ = ["Guard", "Route", "refusal"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Globally routable by the letter of `ipaddress` in some Python version, yet no place for a crawler.
_REFUSED: tuple[tuple[Network, str], ...] = tuple(
    (ipaddress.ip_network(network), why)
    for network, why in {
        "192.0.0.0/24": "IETF protocol assignments",
        "192.31.196.0/24": "AS112",
        "192.52.193.0/24": "AMT",
        "192.88.99.0/24": "6to4 relay anycast",
        "192.175.48.0/24": "AS112",
        "168.63.129.16/32": "the platform service of Azure's virtual machines",
        "2001::/23": "IETF protocol assignments, Teredo",
        "2001:db8::/32": "documentation",
        "2620:4f:8000::/48": "AS112",
        "3fff::/20": "documentation",
    }.items()
)
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_6TO4 = ipaddress.IPv6Network("2002::/16")

# Above 1023: the "bad ports" of the Fetch standard (https://fetch.spec.whatwg.org/#port-blocking), and the
# common databases, brokers and remote desktops. Below 1024 only 80 and 443 are open.
_SERVICE_PORTS = frozenset(
    {1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, *range(6665, 6670), 6679, 6697, 10080}
    | {1433, 1521, 2375, 2376, 2379, 2380, 3306, 3389, 5432, 5672, 5900, 5984, 6379, 6443, 9200, 9300, 10250}
    | {11211, 27017}
)


class Route(NamedTuple):
    """How a host is reached. trusted: named by the user in `connect_to`, so its address is not checked."""

    scheme: str
    host: str
    port: int
    trusted: bool


class Guard:
    """Resolves a host, checks every address, and tells where to connect. Safe to use from many threads."""

    def __init__(
        self,
        allow_networks: Iterable[str],
        connect_to: dict[str, str],
        nameservers: Sequence[str] = (),
    ) -> None:
        self._resolver = Resolver(nameservers)
        self._allowed = [ipaddress.ip_network(network, strict=False) for network in allow_networks]
        self._routes = {pattern.lower(): _base(base) for pattern, base in connect_to.items()}
        self._refusal = functools.lru_cache(4096)(self._judge)

    def close(self) -> None:
        """Ends the look-ups."""
        self._resolver.close()

    def route(self, target: Target) -> Route:
        """The way to a target. Raises Failure("port_refused")."""
        for pattern, base in self._routes.items():
            if fnmatchcase(target.host, pattern):
                return base
        if target.port not in (80, 443) and (target.port < 1024 or target.port in _SERVICE_PORTS):
            raise Failure("port_refused", f"port {target.port}")
        return Route(target.scheme, target.host, target.port, trusted=False)

    def lookup(self, route: Route, seconds: float) -> Lookup | None:
        """The look-up that `resolve` would wait for; None if it need not, or if `seconds` were not enough."""
        known = self._resolver.get(route.host, route.port)
        if not isinstance(known, Lookup):
            return None
        if known.overdue(seconds):
            self._give_up(route, seconds)
            return None
        return known

    def resolve(self, route: Route, seconds: float) -> list[Endpoint]:
        """The checked addresses of a route, from a cache that keeps them as long as the resolver says.

        Raises Failure: "dns_error", "address_refused", or "timeout" after `seconds`.
        """
        known = self._resolver.get(route.host, route.port)
        if isinstance(known, Lookup):
            try:
                with one_at_a_time.waiting():
                    known = known.result(timeout=max(seconds, 0.0))
            except TimeoutError:
                known = self._give_up(route, seconds)
        if isinstance(known, Failure):
            raise Failure(known.reason, known.detail, retry=known.retry)
        if not route.trusted:
            for endpoint in known:
                if why := self._refusal(endpoint.address[0]):
                    raise Failure("address_refused", why)
        return known

    def _give_up(self, route: Route, seconds: float) -> Failure:
        failure = Failure("timeout", f"no answer to the DNS query in {seconds:.1f} s", retry=True)
        self._resolver.give_up(route.host, route.port, failure)
        return failure

    def _judge(self, text: str) -> str | None:
        address = ipaddress.ip_address(text)
        why = refusal(address)
        if why is None:
            return None
        candidates = {address, embedded_ipv4(address) or address}
        if any(c.version == n.version and c in n for c in candidates for n in self._allowed):
            return None
        return f"{address}: {why}"


def refusal(address: Address) -> str | None:
    """Why an address is not globally routable; None if it is. An embedded IPv4 address decides."""
    inner = embedded_ipv4(address)
    if inner is not None:
        why = refusal(inner)
        return why and f"carries {inner}, {why}"
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_UNICAST:
        return "not global unicast (outside 2000::/3)"
    if address.is_multicast:
        return "multicast"
    for network, why in _REFUSED:
        if address.version == network.version and address in network:
            return why
    return None if address.is_global else "not globally routable"


def embedded_ipv4(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address to which traffic for a mapped, NAT64 (RFC 6052) or 6to4 address goes.

    The other carriers (IPv4-compatible, IPv4-translated, Teredo, local-use NAT64) are refused whatever they
    carry.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _MAPPED or address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _6TO4:
        return ipaddress.IPv4Address(int(address) >> 80 & 0xFFFFFFFF)
    return None


def _base(url: str) -> Route:
    """Reads a base URL of `connect_to`. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError(f"{url!r} is not of the form http://host:port")
    return Route(parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme], trusted=True)
