"""Where the crawler does not go, however it is told to."""

import ipaddress
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest

from pipeline.fetch.http.guard import Guard, refusal
from pipeline.fetch.http.resolver import Resolver
from pipeline.fetch.http.target import parse
from pipeline.fetch.outcome import Failure
from tests.pipeline.fetching import IMPATIENT, crawl, settings
from tests.web import Server, dns, page

CERTIFICATE = Path(__file__).parents[3] / "web" / "certificate.pem"  # for secure.test and *.secure.test

REFUSED = """
    0.0.0.0  0.0.0.1  0.1.2.3  0.255.255.255  10.0.0.0  10.0.0.1  10.255.255.255  100.64.0.0  100.64.0.1
    100.100.100.200  100.127.255.255  127.0.0.0  127.0.0.1  127.1.2.3  127.255.255.254  127.255.255.255
    168.63.129.16  169.254.0.1  169.254.169.253  169.254.169.254  169.254.170.2  169.254.255.255
    172.16.0.0  172.16.0.1  172.17.0.1  172.31.255.255  192.0.0.0  192.0.0.1  192.0.0.8  192.0.0.9
    192.0.0.10  192.0.0.170  192.0.0.192  192.0.0.255  192.0.2.0  192.0.2.1  192.0.2.255  192.31.196.1
    192.52.193.1  192.88.99.1  192.88.99.2  192.168.0.0  192.168.0.1  192.168.255.255  192.175.48.1
    198.18.0.0  198.18.0.1  198.19.255.255  198.51.100.0  198.51.100.1  203.0.113.1  203.0.113.255
    224.0.0.0  224.0.0.1  224.0.0.251  232.1.2.3  239.255.255.250  240.0.0.1  250.1.2.3  255.255.255.254
    255.255.255.255
    ::  ::1  ::2  ::7f00:1  ::127.0.0.1  ::10.0.0.1  ::8.8.8.8  ::ffff:0.0.0.0  ::ffff:127.0.0.1
    ::ffff:10.0.0.1  ::ffff:172.16.0.1  ::ffff:192.168.1.1  ::ffff:169.254.169.254  ::ffff:100.64.0.1
    ::ffff:224.0.0.1  ::ffff:255.255.255.255  ::ffff:0:127.0.0.1  ::ffff:0:8.8.8.8  ::fffe:127.0.0.1
    64:ff9b::  64:ff9b::127.0.0.1  64:ff9b::10.0.0.1  64:ff9b::169.254.169.254  64:ff9b::192.168.0.1
    64:ff9b:1::1  64:ff9b:1::8.8.8.8  64:ff9b:1:ffff::7f00:1  100::  100::1  100:0:0:1::1  200::1
    2001::  2001::1  2001:0:4136:e378:8000:63bf:3fff:fdd2  2001:0:808:808::1  2001:1::1  2001:2::1
    2001:3::1  2001:4:112::1  2001:10::1  2001:20::1  2001:30::1  2001:1ff::1  2001:db8::  2001:db8::1
    2001:db8:ffff::1  2002::  2002:0:1::  2002:7f00:1::  2002:7f00:1::808:808  2002:a00:1::1
    2002:ac10:1::1  2002:c0a8:101::1  2002:a9fe:a9fe::  2002:6440:1::1  2002:e000:1::1  2620:4f:8000::1
    3fff::1  3fff:fff::1  4000::1  5f00::1  6000::1  8000::1  a000::1  e000::1  f000::1
    fc00::  fc00::1  fd00::1  fd00:ec2::254  fd12:3456:789a::1  fdff::1  fe00::1  fe80::  fe80::1
    fe80::1%1  fe80::1%eth0  fe80::a9fe:a9fe  febf::1  fec0::1  feff::1  ff00::1  ff01::1  ff02::1
    ff05::2  ff0e::1  ff0e::8.8.8.8  ffff::1
"""

ALLOWED = """
    1.0.0.1  1.1.1.1  8.8.8.8  9.255.255.255  11.0.0.0  45.33.32.156  93.184.216.34  99.255.255.255
    100.63.255.255  100.128.0.0  126.255.255.255  128.0.0.1  151.101.1.69  168.63.129.15  168.63.129.17
    169.253.255.255  169.255.0.0  172.15.255.255  172.32.0.0  191.255.255.255  192.0.1.0  192.0.3.0
    192.31.195.255  192.31.197.0  192.88.98.255  192.88.100.0  192.167.255.255  192.169.0.0
    198.17.255.255  198.20.0.0  198.51.99.255  198.51.101.0  203.0.112.255  203.0.114.0  223.255.255.255
    ::ffff:8.8.8.8  ::ffff:93.184.216.34  64:ff9b::8.8.8.8  64:ff9b::5db8:d822  2002:808:808::1
    2001:200::1  2001:4860:4860::8888  2400:cb00::1  2606:4700::1111  2607:f8b0::1  2620:0:2d0::1
    2800::1  2a00:1450::1  2c0f::1
"""


@pytest.mark.parametrize("address", REFUSED.split())
def test_refused(address: str) -> None:
    assert refusal(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ALLOWED.split())
def test_allowed(address: str) -> None:
    assert refusal(ipaddress.ip_address(address)) is None


SPELLINGS = """
    127.0.0.1  127.1  127.0.1  127.000.000.001  0  0.0  0.0.0.0  00000000  2130706433  2130706434
    017700000001  0017700000001  0x7f000001  0X7F000001  0x7f.1  0x7f.0.1  0177.1  0177.0.0.1  0177.0.1
    0x7F.0.0x0.1  0x7f.0x0.0x0.0x1  127.0.0.0x1  127.0.0.01  0x0000007f.1  127.0.0.1.  127.1.  2130706433.
    0xa.1  10.1  167772161  012.1  0xa9fea9fe  2852039166  0251.0376.0251.0376  169.254.43518
    ①②⑦.⓪.⓪.①  １２７.0.0.1  ⑫7.0.0.1  127。0。0。1  127．0．0．1  127｡0｡0｡1  ０x7f.1  1２7.1
    [::1]  [::]  [0:0:0:0:0:0:0:1]  [0000::0001]  [::ffff:127.0.0.1]  [::FFFF:127.0.0.1]  [::ffff:7f00:1]
    [0:0:0:0:0:ffff:127.0.0.1]  [::ffff:0:127.0.0.1]  [::127.0.0.1]  [::7f00:1]  [64:ff9b::7f00:1]
    [64:ff9b::127.0.0.1]  [2002:7f00:1::]  [2001:0:7f00:1::]  [fe80::1%25lo]  [fe80::1%lo]  [::1%1]
    [fd00:ec2::254]  [::ffff:169.254.169.254]  [::ffff:a9fe:a9fe]  [v1.127.0.0.1]  [127.0.0.1]
    localhost  LOCALHOST  LocalHost  localhost.  ｌocalhost  localhost:80  user@localhost
    public.example@127.0.0.1  public.example:80@127.0.0.1  public.example%40127.0.0.1
    public.example\\@127.0.0.1  127.0.0.1#@public.example  127.0.0.1?@public.example
    127.0.0.1%23.public.example  127.0.0.1%00.public.example  127.0.0.1\\.public.example
    127.0.0.1:80  127.0.0.1:443  127.0.0.1:080  127.0.0.1:65616  127.0.0.1:-1  127.0.0.1:  127.0.0.1:8080
    127.0.0.1%2e  127%2e0%2e0%2e1  %31%32%37.0.0.1  127.0.0.1%20  256.0.0.1  127.0.0.256  1.2.3.4.5
    4294967296  4294967297  0x17f000001  -1  127..1  .127.0.0.1  127.0.0.1..
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


def test_the_tables_are_as_long_as_they_should_be() -> None:
    tables = (REFUSED, ALLOWED, SPELLINGS)
    assert (
        sum(len(set(table.split())) for table in tables) == sum(len(table.split()) for table in tables) > 270
    )


def test_a_name_server_that_rebinds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The first answer is an address that is allowed, all others are not; TTL 0 is not believed."""
    names: dict[str, list[list[str] | None]] = {
        "rebind.example": [["127.0.0.2"], ["127.0.0.1"]],
        "both.example": [["127.0.0.2", "127.0.0.1"]],
        "wide.example": [["127.0.0.2", "::ffff:127.0.0.1"]],
        "private.example": [["127.0.0.1"]],
        "good.example": [["127.0.0.2"]],
        "silent.example": [None],
    }
    pages: dict[Any, Any] = {f"/{n}": page() for n in range(3)}
    with (
        Server(pages) as victim,
        Server(pages, address=("127.0.0.2", victim.port)) as server,
        dns.NameServer(names, ttl=0).running() as resolver,
    ):
        options = settings(
            nameservers=[resolver.address],
            allow_networks=["127.0.0.2/32"],
            retries=0,
            address_spacing=0.0,
        )
        hosts = [*names, "nothing.example", "127.0.0.2"]
        rows = crawl([f"http://{host}:{server.port}/0" for host in hosts], options, tmp_path)
        assert {host: row["reason"] for host, row in zip(hosts, rows, strict=True)} == {
            "rebind.example": "ok",
            "both.example": "address_refused",
            "wide.example": "address_refused",
            "private.example": "address_refused",
            "good.example": "ok",
            "silent.example": "dns_error",
            "nothing.example": "dns_error",
            "127.0.0.2": "ok",
        }
        assert resolver.asked.count("rebind.example") == 1  # for robots.txt and for the page
        monkeypatch.setattr("pipeline.fetch.http.resolver.MIN_TTL", 0.0)
        urls = [f"http://rebind.example:{server.port}/{n}" for n in range(3)]
        (tmp_path / "again").mkdir()
        rows = crawl(urls, options, tmp_path / "again")
        assert {row["reason"] for row in rows} == {"address_refused"}
        assert victim.log == []


@pytest.mark.parametrize(("ttl", "age"), [(0, 30.0), (60, 60.0), (86_400, 3600.0)])
def test_the_ttl_is_bounded(ttl: int, age: float) -> None:
    with dns.NameServer({"a.example": [["8.8.8.8", "2001:4860::1"]]}, ttl).running() as resolver:
        names = Resolver([resolver.address])
        found, kept = names._lookup("a.example", 80)
        names.close()
    assert kept == age
    assert not isinstance(found, Failure)
    assert {endpoint.address[0] for endpoint in found} == {"8.8.8.8", "2001:4860::1"}


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
        (tmp_path / "trusted").mkdir()
        rows = crawl(urls, options, tmp_path / "trusted")
        assert [row["reason"] for row in rows] == ["ok", "ok", "tls_error"]
        assert {(request.sni, request.host) for request in server.log} == {(n, n) for n in names[:2]}


@pytest.mark.parametrize("fault", ["drip_body", "hang_in_body", "endless_chunks", "gzip_bomb"])
def test_the_bounds_hold_over_tls(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    expected = {"gzip_bomb": "too_large", "endless_chunks": "too_large"}.get(fault, "timeout")
    with Server(tls=tls()) as server:
        options = settings(server, **(IMPATIENT if expected == "timeout" else {}))
        (row,) = crawl([f"https://secure.test/fault/{fault}"], options, tmp_path)
    assert row["reason"] == expected, row["detail"]


def test_a_handshake_that_hangs(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        to = f"https://127.0.0.1:{silent.getsockname()[1]}"
        options = settings(connect_to={"*": to}, robots=False, retries=0, connect_timeout=0.5)
        (row,) = crawl(["https://secure.test/"], options, tmp_path)
    assert row["reason"] == "timeout"


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
