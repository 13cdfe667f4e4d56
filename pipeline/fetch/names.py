"""Host names to addresses: through the system, or by asking name servers, who also tell how long it holds."""

import socket
from collections.abc import Sequence
from typing import Any, NamedTuple

import dns.exception
import dns.nameserver
import dns.resolver

from pipeline.fetch.outcome import Failure

UNKNOWN_AGE = 300.0  # seconds an answer is kept; getaddrinfo does not tell the TTL
MIN_AGE, MAX_AGE = 30.0, 3600.0  # bounds of a TTL: short ones are for balancing load, or for rebinding
RETRY_AGE = 1.0  # of a failure that passes
LIFETIME = 8.0  # seconds for a query, retransmissions included


class Endpoint(NamedTuple):
    """What `socket.socket` needs to connect to an address."""

    family: socket.AddressFamily
    address: tuple[Any, ...]


class Answer(NamedTuple):
    """What a look-up found, and for how many seconds it may be kept."""

    found: list[Endpoint] | Failure
    age: float


class Names:
    """Looks names up. Safe to use from many threads.

    servers: addresses of recursive name servers, with a port where it is not 53. None: the system's way, with
    its hosts file. Raises ValueError for what is no address.
    """

    def __init__(self, servers: Sequence[str]) -> None:
        self._resolver: dns.resolver.Resolver | None = None
        if servers:
            self._resolver = dns.resolver.Resolver(configure=False)
            self._resolver.nameservers = [_server(server) for server in servers]
            self._resolver.lifetime = LIFETIME

    def lookup(self, host: str, port: int) -> Answer:
        """The addresses of a host; its failures are `dns_error`."""
        flags = socket.AI_NUMERICHOST if self._resolver else 0
        try:
            found = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=flags
            )
        except socket.gaierror as error:
            if self._resolver and error.errno == socket.EAI_NONAME:
                return self._ask(self._resolver, host, port)
            again = error.errno == socket.EAI_AGAIN
            return _failed(f"{host}: {error.strerror}", again=again)
        except (OSError, ValueError) as error:  # ValueError: a label that is empty or too long
            return _failed(f"{host}: {error}")
        endpoints = [Endpoint(family, address) for family, _, _, _, address in found]
        return Answer(endpoints, UNKNOWN_AGE) if endpoints else _failed(f"{host}: no address")

    def _ask(self, resolver: dns.resolver.Resolver, host: str, port: int) -> Answer:
        try:
            answers = resolver.resolve_name(host)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer, dns.resolver.YXDOMAIN) as error:
            return _failed(f"{host}: {error}")
        except dns.exception.DNSException as error:
            passing = isinstance(error, (dns.exception.Timeout, dns.resolver.NoNameservers))
            return _failed(f"{host}: {error}", again=passing)
        except (OSError, ValueError) as error:
            return _failed(f"{host}: {error}", again=isinstance(error, OSError))
        ttls = [answer.rrset.ttl for answer in answers.values() if answer.rrset is not None]
        endpoints = [
            Endpoint(socket.AddressFamily(family), (address, port))
            for address, family in answers.addresses_and_families()
        ]
        return Answer(endpoints, min(max(min(ttls, default=0), MIN_AGE), MAX_AGE))


def _failed(detail: str, *, again: bool = False) -> Answer:
    failure = Failure("dns_error", " ".join(detail.split())[:300], retry=again)
    return Answer(failure, RETRY_AGE if again else UNKNOWN_AGE)


def _server(text: str) -> dns.nameserver.Nameserver:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or (":" in host.strip("[]") and not host.startswith("[")):
        host, port = text, "53"
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.inet_pton(family, host)
    except OSError as error:
        raise ValueError(f"{text!r} is not the address of a name server") from error
    return dns.nameserver.Do53Nameserver(host, int(port))
