"""Pages a second over HTTPS from a loopback web of many hosts, against scrapy, on the same pages.

    python -m benchmarks.https HTML [--pages N] [--pages-a-host N] [--rounds N] [--threads N]
        [--keys {ecdsa,rsa,both}] [--peer PYTHON] [--plain]

HTML: a directory of HTML files. PYTHON is the interpreter of an environment with scrapy. Every host has a
name of its own, and half of them a certificate of either kind, which an intermediate authority has signed
under a root that is made for the run and trusted through SSL_CERT_FILE: P-256 under P-384 under RSA 4096
(`--keys ecdsa`), and RSA 2048 under RSA 2048 under RSA 4096 (`rsa`), as Let's Encrypt's are. The handshake
is of TLS 1.3. Needs the command openssl.

The default of 1.5 pages a host (half of the hosts have one page, half two) is that of submissions; with 10
pages kept connections count for more. Each host is asked for its robots.txt too. Both sides ask for the
same URLs under equal manners (see `benchmarks.fetch`) and check certificates, which scrapy does not by
default: the line `unchecked` is scrapy as it comes. Sides take turns in each round; a figure is the median
over the rounds. CPU time is that of the process that crawls, without its start. Ours counts the pages that
it drops for their publisher's word (`noindex`, …) as well. The web runs in processes of its own, which
count connections; the time of a run on two cores is often theirs. `--plain` adds ours over plain HTTP: the
difference is what TLS costs.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import ssl
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.fetch import PEER, Web, ours
from pipeline.fetch import consent
from pipeline.settings import Fetch

SERVERS = 2  # processes; they share the port
AUTHORITIES = {  # kind -> options of `openssl req -newkey` for leaf and intermediate
    "ecdsa": (["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"]),
    "rsa": (["rsa:2048"], ["rsa:2048"]),
}


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def certificates(directory: Path, kinds: list[str]) -> Path:
    """Writes root.pem, and KIND.pem for each kind: key, certificate of *.KIND.test, and its intermediate."""
    root, root_key = directory / "root.pem", directory / "root.key"
    extension = "basicConstraints=critical,CA:TRUE"
    openssl(
        *("req", "-x509", "-newkey", "rsa:4096", "-noenc", "-days", "30", "-subj", "/CN=benchmark root"),
        *(
            "-addext",
            extension,
            "-addext",
            "keyUsage=critical,keyCertSign",
            "-keyout",
            root_key,
            "-out",
            root,
        ),
    )
    for kind in kinds:
        leaf, intermediate = AUTHORITIES[kind]
        stem = directory / kind
        authority, key, request = (stem.with_suffix(end) for end in (".ca.pem", ".ca.key", ".csr"))
        issue = ("-days", "20", "-copy_extensions", "copyall", "-in", request)
        openssl(
            *("req", "-new", "-newkey", *intermediate, "-noenc", "-subj", f"/CN=benchmark {kind}"),
            *("-addext", extension, "-addext", "keyUsage=critical,keyCertSign"),
            *("-keyout", key, "-out", request),
        )
        openssl("x509", "-req", *issue, "-CA", root, "-CAkey", root_key, "-out", authority)
        certificate, own_key = stem.with_suffix(".leaf.pem"), stem.with_suffix(".leaf.key")
        openssl(
            *("req", "-new", "-newkey", *leaf, "-noenc", "-subj", f"/CN={kind}.test"),
            *("-addext", f"subjectAltName=DNS:*.{kind}.test", "-keyout", own_key, "-out", request),
        )
        openssl("x509", "-req", *issue, "-CA", authority, "-CAkey", key, "-out", certificate)
        parts = (own_key, certificate, authority)
        stem.with_suffix(".pem").write_text("".join(part.read_text() for part in parts))
    return root


class SecureWeb(Web):
    """Counts connections, and those that resumed a session."""

    counts: Any = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        secured = transport.get_extra_info("ssl_object")
        with self.counts.get_lock():
            self.counts[0] += 1
            self.counts[1] += bool(secured and secured.session_reused)


def serve(html: Path, directory: Path, kinds: list[str], counts: Any, ports: Any, chosen: Any) -> None:
    """One process of the web, with TLS on one port and without on another."""
    Web.bodies = tuple(path.read_bytes() for path in sorted(html.rglob("*.html"))[:2000])
    SecureWeb.counts = counts
    contexts = {}
    for kind in kinds:
        contexts[kind] = context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(directory / f"{kind}.pem")

    def choose(connection: Any, name: str | None, _: ssl.SSLContext) -> None:
        connection.context = contexts[(name or "").split(".")[-2]]

    contexts[kinds[0]].sni_callback = choose

    async def run() -> None:
        loop = asyncio.get_running_loop()
        wanted = chosen.get() if chosen else [0, 0]
        servers = [
            await loop.create_server(SecureWeb, "127.0.0.1", port, backlog=1024, reuse_port=True, ssl=secure)
            for port, secure in zip(wanted, (contexts[kinds[0]], None), strict=True)
        ]
        ports.put([server.sockets[0].getsockname()[1] for server in servers])
        await asyncio.gather(*(server.serve_forever() for server in servers))

    asyncio.run(run())


@contextmanager
def web(html: Path, directory: Path, kinds: list[str], counts: Any) -> Iterator[list[int]]:
    """Runs the web; its ports with TLS and without."""
    context = multiprocessing.get_context("spawn")
    ports, chosen = context.Queue(), context.Queue()
    processes: list[Any] = []
    found: list[int] = []
    try:
        for n in range(SERVERS):
            arguments = (html, directory, kinds, counts, ports, chosen if n else None)
            processes.append(context.Process(target=serve, args=arguments, daemon=True))
            processes[-1].start()
            if n:
                chosen.put(found)
            found = ports.get()
        yield found
    finally:
        for process in processes:
            process.terminate()


def scrapy(peer: str, urls: list[str], threads: int, root: Path, verify: bool) -> tuple[float, float, int]:
    """Seconds, CPU seconds and pages of scrapy."""
    options = {
        "settings": {"DOWNLOAD_VERIFY_CERTIFICATES": verify, "DNSCACHE_SIZE": 10**6},
        "address": "127.0.0.1",
    }
    result = subprocess.run(
        [peer, "-c", PEER],
        input=json.dumps([urls, threads, 0, options]),
        env=os.environ | {"SSL_CERT_FILE": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, found, cpu = json.loads(result.stdout)
    return seconds, cpu, found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("html", type=Path)
    parser.add_argument("--pages", type=int, default=6000)
    parser.add_argument("--pages-a-host", type=float, default=1.5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--keys", choices=[*AUTHORITIES, "both"], default="both")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--peer")
    arguments = parser.parse_args()
    kinds = list(AUTHORITIES) if arguments.keys == "both" else [arguments.keys]
    hosts = round(arguments.pages / arguments.pages_a_host)
    names = [f"h{n}.{kinds[n % len(kinds)]}.test" for n in range(hosts)]
    paths = [(names[n % hosts], n) for n in range(arguments.pages)]
    counts = multiprocessing.get_context("spawn").Array("q", 2)
    rates: dict[str, list[tuple[float, float]]] = {}

    def note(side: str, seconds: float, cpu: float, found: int) -> None:
        rates.setdefault(side, []).append((found / seconds, found / cpu))
        print(
            f"{side:<10}{seconds:7.1f} s  {found} pages  {1000 * cpu / found:6.2f} ms of CPU a page  "
            f"{counts[0]} connections, {counts[1]} resumed  load {os.getloadavg()[0]:.1f}",
            flush=True,
        )
        counts[0] = counts[1] = 0

    with tempfile.TemporaryDirectory() as scratch:
        root = certificates(Path(scratch), kinds)
        os.environ["SSL_CERT_FILE"] = str(root)
        with web(arguments.html, Path(scratch), kinds, counts) as ports:

            def crawl(scheme: str, port: int) -> None:
                options = Fetch(
                    contact="bench@example.org",
                    threads=arguments.threads,
                    spacing=0.0,
                    address_spacing=0.0,
                    connect_to={"*.test": f"{scheme}://127.0.0.1:{port}"},
                    retries=0,
                    host_failures=1,
                )
                urls = [f"{scheme}://{name}:{port}/{n}" for name, n in paths]
                seconds, cpu, outcomes = ours(urls, options, 1)
                answered = sum(outcomes[reason] for reason in ("ok", *consent.REASONS))
                note("ours" if scheme == "https" else "plain", seconds, cpu, answered)

            urls = [f"https://{name}:{ports[0]}/{n}" for name, n in paths]
            for _ in range(arguments.rounds):
                crawl("https", ports[0])
                if arguments.peer:
                    for side, verify in (("scrapy", True), ("unchecked", False)):
                        note(side, *scrapy(arguments.peer, urls, arguments.threads, root, verify))
                if arguments.plain:
                    crawl("http", ports[1])
    medians = {
        side: [statistics.median(each) for each in zip(*found, strict=True)] for side, found in rates.items()
    }
    for side, (wall, cpu) in medians.items():
        ratio = f"  ours {medians['ours'][0] / wall:5.2f} and {medians['ours'][1] / cpu:5.2f} times"
        print(f"{side:<10}{wall:7.0f} pages/s {cpu:7.0f} pages/s of CPU" + ratio * (side != "ours"))


if __name__ == "__main__":
    main()
