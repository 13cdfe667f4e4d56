"""Where the crawler does not go, however it is told to."""

import ipaddress
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest

from pipeline.fetch.guard import Guard, refusal
from pipeline.fetch.outcome import Failure
from pipeline.fetch.target import parse
from tests.pipeline.fetching import crawl, settings
from tests.web import Server, page

CERTIFICATE = Path(__file__).parents[1] / "web" / "certificate.pem"  # for secure.test and *.secure.test

REFUSED = """
    0.0.0.0  0.1.2.3  10.0.0.1  10.255.255.255  100.64.0.1  100.100.100.200  100.127.255.255  127.0.0.1
    127.255.255.254  168.63.129.16  169.254.0.1  169.254.169.254  172.16.0.1  172.31.255.255  192.0.0.1
    192.0.0.192  192.0.2.1  192.31.196.1  192.52.193.1  192.88.99.1  192.168.0.1  192.175.48.1
    198.18.0.1  198.19.255.255  198.51.100.1  203.0.113.1  224.0.0.1  239.255.255.250  240.0.0.1
    255.255.255.255  ::  ::1  ::2  ::127.0.0.1  ::8.8.8.8  ::ffff:127.0.0.1  ::ffff:10.0.0.1
    ::ffff:169.254.169.254  ::ffff:0:127.0.0.1  ::ffff:0:8.8.8.8  64:ff9b::127.0.0.1  64:ff9b::10.0.0.1
    64:ff9b:1::1  64:ff9b:1::8.8.8.8  100::1  2001::1  2001:0:4136:e378:8000:63bf:3fff:fdd2  2001:2::1
    2001:10::1  2001:20::1  2001:db8::1  2002:7f00:1::  2002:a00:1::1  2002:c0a8:101::1
    2002:a9fe:a9fe::  2620:4f:8000::1  3fff::1  5f00::1  fc00::1  fd00:ec2::254  fdff::1  fe80::1
    fe80::1%1  febf::1  fec0::1  ff02::1  ff0e::1  4000::1  e000::1
"""

ALLOWED = """
    1.1.1.1  8.8.8.8  9.255.255.255  11.0.0.0  100.63.255.255  100.128.0.0  126.255.255.255  128.0.0.1
    168.63.129.15  168.63.129.17  169.253.255.255  172.15.255.255  172.32.0.0  192.0.1.0
    192.167.255.255  198.17.255.255  198.20.0.0  203.0.114.0  223.255.255.255  ::ffff:8.8.8.8
    64:ff9b::8.8.8.8  2002:808:808::1  2001:200::1  2001:4860:4860::8888  2606:4700::1111  2a00:1450::1
"""


@pytest.mark.parametrize("address", REFUSED.split())
def test_refused(address: str) -> None:
    assert refusal(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ALLOWED.split())
def test_allowed(address: str) -> None:
    assert refusal(ipaddress.ip_address(address)) is None


SPELLINGS = """
    127.0.0.1  127.1  127.0.1  0  0.0.0.0  2130706433  017700000001  0x7f000001  0x7f.1  0177.0.0.1
    0x7F.0.0x0.1  127.0.0.1.  ①②⑦.⓪.⓪.①  １２７.0.0.1  127。0。0。1  [::1]  [::]  [::ffff:127.0.0.1]
    [::ffff:7f00:1]  [0:0:0:0:0:ffff:127.0.0.1]  [::127.0.0.1]  [64:ff9b::7f00:1]  [2002:7f00:1::]
    localhost  LOCALHOST  localhost.  public.example@127.0.0.1  public.example:80@127.0.0.1
    127.0.0.1:80  127.0.0.1:443
"""


@pytest.mark.parametrize("spelling", SPELLINGS.split())
def test_no_spelling_of_loopback_is_connected_to(
    spelling: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def connect(self: socket.socket, address: Any) -> None:
        raise AssertionError(f"connected to {address}")

    monkeypatch.setattr(socket.socket, "connect", connect)
    (row,) = crawl([f"http://{spelling}/"], settings(), tmp_path)
    assert row["reason"] in ("address_refused", "invalid_url", "dns_error"), row


@pytest.mark.parametrize("spelling", ["127.0.0.1", "2130706433", "0x7f.1", "localhost"])
def test_an_allowed_network_is_open(spelling: str, tmp_path: Path) -> None:
    with Server({"/a": page()}) as server:
        options = settings(allow_networks=["127.0.0.0/8", "::1/128"])
        rows = crawl([f"http://{spelling}:{server.port}/a", "http://10.0.0.1/"], options, tmp_path)
        assert [row["reason"] for row in rows] == ["ok", "address_refused"]


def answers(*addresses: str) -> Any:
    """A getaddrinfo that finds these."""

    def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        return [
            (socket.AF_INET6 if ":" in a else socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port))
            for a in addresses
        ]

    return getaddrinfo


def test_one_private_address_among_many_refuses_the_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answers("8.8.8.8", "2001:4860::1", "192.168.1.1"))
    (row,) = crawl(["http://mixed.example/"], settings(), tmp_path)
    assert row["reason"] == "address_refused"
    assert "192.168.1.1" in row["detail"]


def test_the_connection_goes_to_the_address_that_was_checked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A name that is public when looked at and private when looked at again."""
    lookups: list[str] = []
    connected: list[Any] = []

    def rebinding(host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        lookups.append(host)
        return answers("93.184.216.34" if len(lookups) == 1 else "127.0.0.1")(host, port)

    def connect(self: socket.socket, address: Any) -> None:
        connected.append(address)
        raise ConnectionRefusedError("not in a test")

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    monkeypatch.setattr(socket.socket, "connect", connect)
    (row,) = crawl(["http://rebinding.example/"], settings(retries=3), tmp_path)
    assert row["reason"] == "connect_error"
    assert lookups == ["rebinding.example"]
    assert set(connected) == {("93.184.216.34", 80)}


@pytest.mark.parametrize(
    ("url", "open_"),
    [
        ("http://a.example/", True),
        ("https://a.example/", True),
        ("http://a.example:443/", True),
        ("http://a.example:8080/", True),
        ("http://a.example:3000/", True),
        ("http://a.example:22/", False),
        ("http://a.example:25/", False),
        ("http://a.example:81/", False),
        ("http://a.example:6379/", False),
        ("http://a.example:11211/", False),
        ("http://a.example:6667/", False),
    ],
)
def test_ports(url: str, open_: bool) -> None:
    guard = Guard((), {})
    try:
        guard.route(parse(url))
        found = True
    except Failure as failure:
        assert failure.reason == "port_refused"  # noqa: PT017
        found = False
    finally:
        guard.close()
    assert found is open_


def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def test_tls_with_sni_and_certificate_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["secure.test", "www.secure.test", "other.test"]
    with Server({"/a": page()}, tls=tls()) as server:
        urls = [f"https://{name}/a" for name in names]
        options = settings(server, robots=False)
        assert {row["reason"] for row in crawl(urls, options, tmp_path)} == {"tls_error"}  # unknown authority
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        rows = crawl(urls, options, tmp_path)
        assert [row["reason"] for row in rows] == ["ok", "ok", "tls_error"]
        assert {(request.sni, request.host) for request in server.log} == {(n, n) for n in names[:2]}


@pytest.mark.parametrize("fault", ["drip_body", "hang_in_body", "endless_chunks", "gzip_bomb"])
def test_the_bounds_hold_over_tls(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    expected = {"gzip_bomb": "too_large", "endless_chunks": "too_large"}.get(fault, "timeout")
    with Server(tls=tls()) as server:
        (row,) = crawl([f"https://secure.test/fault/{fault}"], settings(server), tmp_path)
    assert row["reason"] == expected, row["detail"]
    assert row["seconds"] < 3


def test_a_handshake_that_hangs(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        to = f"https://127.0.0.1:{silent.getsockname()[1]}"
        options = settings(connect_to={"*": to}, robots=False, retries=0, connect_timeout=0.5)
        (row,) = crawl(["https://secure.test/"], options, tmp_path)
    assert row["reason"] == "timeout"
    assert row["seconds"] < 2


def test_plain_http_where_tls_is_expected(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.recv(4096)

        thread = threading.Thread(target=answer)
        thread.start()
        to = f"https://127.0.0.1:{listener.getsockname()[1]}"
        (row,) = crawl(["http://secure.test/a"], settings(connect_to={"*": to}, robots=False), tmp_path)
        thread.join()
    assert row["reason"] == "tls_error"
