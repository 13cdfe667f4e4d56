"""Names to addresses where name servers fail in part."""

import socket
from typing import Any

import dns.rcode
import pytest

from pipeline.fetch.http import resolver
from pipeline.fetch.http.resolver import Endpoint, Resolver
from pipeline.fetch.outcome import Failure
from tests.web.dns import NameServer

GOOD: dict[str, list[list[str] | None]] = {"a.example": [["8.8.8.8", "2001:4860::1"]]}
V4 = Endpoint(socket.AF_INET, ("8.8.8.8", 80))
V6 = Endpoint(socket.AF_INET6, ("2001:4860::1", 80))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "LIFETIME", 0.5)
    monkeypatch.setattr(resolver, "SECOND_LIFETIME", 0.5)


def look_up(failing: dict[tuple[str, str], Any]) -> Any:
    with NameServer(GOOD, 60, failing=failing).running() as server:
        names = Resolver([server.address])
        try:
            return names._lookup("a.example", 80).found
        finally:
            names.close()


@pytest.mark.parametrize("how", [dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.NOTIMP, None])
@pytest.mark.parametrize(("kind", "found"), [("AAAA", [V4]), ("A", [V6])])
def test_one_family_fails_beside_the_other(how: Any, kind: str, found: list[Endpoint]) -> None:
    assert look_up({("a.example", kind): how}) == found


def test_both_families() -> None:
    assert look_up({}) == [V6, V4]


@pytest.mark.parametrize("how", [dns.rcode.SERVFAIL, None])
def test_both_families_fail(how: Any) -> None:
    failure = look_up({("a.example", "A"): how, ("a.example", "AAAA"): how})
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.retry) == ("dns_error", True)


def test_a_name_that_does_not_exist_is_not_asked_for_again() -> None:
    failure = look_up({("a.example", "A"): dns.rcode.NXDOMAIN, ("a.example", "AAAA"): None})
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.retry) == ("dns_error", False)


def test_the_system_fails_for_both_and_not_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(host: str, port: int, family: int, *_: Any) -> Any:
        if family == socket.AF_UNSPEC:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(family, socket.SOCK_STREAM, 6, "", ("8.8.8.8", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    names = Resolver([])
    assert names._lookup("a.example", 80).found == [V4]
    names.close()
