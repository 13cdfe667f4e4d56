"""Host names to addresses: through the system, or by asking name servers, who also tell how long it holds."""

import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import dns.exception
import dns.nameserver
import dns.rdatatype
import dns.resolver

from pipeline.fetch.outcome import Failure

__all__ = ["Endpoint", "Lookup", "Resolver"]

DEFAULT_TTL = 300.0  # seconds an answer is kept; getaddrinfo does not tell the TTL
MIN_TTL, MAX_TTL = 30.0, 3600.0  # bounds of a TTL: short ones are for balancing load, or for rebinding
FAILURE_TTL = 1.0  # of a failure that passes
LIFETIME = 8.0  # seconds for a query, retransmissions included
SECOND_LIFETIME = 3.0  # for that of the second family
_FAMILIES = {dns.rdatatype.A: socket.AF_INET, dns.rdatatype.AAAA: socket.AF_INET6}
THREADS = 32  # look-ups at a time
CACHED = 50_000  # names, about 500 bytes each


class Endpoint(NamedTuple):
    """What `socket.socket` needs to connect to an address."""

    family: socket.AddressFamily
    address: tuple[Any, ...]


Found = list[Endpoint] | Failure


class Answer(NamedTuple):
    """What a look-up found, and for how many seconds it may be kept."""

    found: Found
    age: float


class Lookup(Future[Found]):
    """A question on its way, and its answer."""

    started: float | None = None  # on the monotonic clock; None while all threads are busy with others

    def overdue(self, seconds: float) -> bool:
        """Whether the answer has taken that long. Time spent in the queue for a thread does not count."""
        return self.started is not None and time.monotonic() - self.started >= seconds


class Resolver:
    """Looks names up, several at a time, and keeps what it found. Safe to use from many threads.

    servers: addresses of recursive name servers, with a port where it is not 53. None: the system's way, with
    its hosts file. Raises ValueError for what is no address.
    """

    def __init__(self, servers: Sequence[str]) -> None:
        self._resolver: dns.resolver.Resolver | None = None
        if servers:
            self._resolver = dns.resolver.Resolver(configure=False)
            self._resolver.nameservers = [_server(server) for server in servers]
            self._resolver.lifetime = LIFETIME
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="dns")
        self._cache: dict[tuple[str, int], tuple[float, Found]] = {}
        self._asked: dict[tuple[str, int], Lookup] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Lets go of the threads; one that hangs in the system's resolver ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def get(self, host: str, port: int) -> Found | Lookup:
        """The addresses of a host, why it has none, or the look-up that will tell."""
        key = (host, port)
        with self._lock:
            expires, known = self._cache.get(key, (0.0, []))
            if expires >= time.monotonic():
                return known
            lookup = self._asked.get(key)
            if lookup is None:
                lookup = self._asked[key] = Lookup()
                self._threads.submit(self._answer, key, lookup)
            return lookup

    def give_up(self, host: str, port: int, failure: Failure) -> None:
        """Takes `failure` for the answer, for a while; the next to ask starts anew."""
        self._keep((host, port), Answer(failure, FAILURE_TTL))

    def _answer(self, key: tuple[str, int], lookup: Lookup) -> None:
        lookup.started = time.monotonic()
        try:
            answer = self._lookup(*key)
        except Exception as error:  # noqa: BLE001 - nobody would hear of it, and somebody waits
            answer = _failed(f"{key[0]}: {error!r}")
        self._keep(key, answer)
        lookup.set_result(answer.found)

    def _keep(self, key: tuple[str, int], answer: Answer) -> None:
        with self._lock:
            self._asked.pop(key, None)
            if len(self._cache) > CACHED:
                self._cache.clear()
            self._cache[key] = (time.monotonic() + answer.age, answer.found)

    def _lookup(self, host: str, port: int) -> Answer:
        flags = socket.AI_NUMERICHOST if self._resolver else 0
        found, error = _system(host, port, socket.AF_UNSPEC, flags)
        if isinstance(error, socket.gaierror):
            if self._resolver and error.errno == socket.EAI_NONAME:
                return self._ask(self._resolver, host, port)
            if error.errno == socket.EAI_AGAIN:  # in some C libraries also where one family has its answer
                found, _ = _system(host, port, socket.AF_INET, flags)
        if found:
            return Answer(found, DEFAULT_TTL)
        again = isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
        return _failed(f"{host}: {getattr(error, 'strerror', None) or error or 'no address'}", again=again)

    def _ask(self, resolver: dns.resolver.Resolver, host: str, port: int) -> Answer:
        """Asks for addresses of IPv4 and of IPv6: what one family fails with is not said of the other."""
        answers: list[dns.resolver.Answer] = []
        failures: list[Exception] = []
        for kind, lifetime in ((dns.rdatatype.A, LIFETIME), (dns.rdatatype.AAAA, SECOND_LIFETIME)):
            try:
                answers.append(resolver.resolve(host, kind, raise_on_no_answer=False, lifetime=lifetime))
            except (dns.exception.DNSException, OSError, ValueError) as error:
                failures.append(error)
                if isinstance(error, (dns.resolver.NXDOMAIN, dns.resolver.YXDOMAIN, ValueError)):
                    break  # of the name, whatever the family
        endpoints = [
            Endpoint(_FAMILIES[answer.rdtype], (str(record.address), port))
            for answer in reversed(answers)
            for record in answer.rrset or ()
        ]
        if endpoints:
            ttls = [answer.rrset.ttl for answer in answers if answer.rrset is not None]
            return Answer(endpoints, min(max(min(ttls), MIN_TTL), MAX_TTL))
        passing = (dns.exception.Timeout, dns.resolver.NoNameservers, OSError)
        again = any(isinstance(error, passing) for error in failures)
        return _failed(f"{host}: {failures[0] if failures else 'no address'}", again=again)


def _system(host: str, port: int, family: int, flags: int) -> tuple[list[Endpoint], Exception | None]:
    """What the system's resolver finds, or why it does not."""
    try:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, socket.IPPROTO_TCP, flags)
    except (OSError, ValueError) as error:  # ValueError: a label that is empty or too long
        return [], error
    return [Endpoint(family, address) for family, _, _, _, address in found], None


def _failed(detail: str, *, again: bool = False) -> Answer:
    failure = Failure("dns_error", " ".join(detail.split())[:300], retry=again)
    return Answer(failure, FAILURE_TTL if again else DEFAULT_TTL)


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
