"""Pages a second from a loopback web of many hosts, against scrapy, on the same pages and with equal manners.

    python -m benchmarks.fetch HTML [--hosts N] [--pages N] [--rounds N] [--threads N] [--peer PYTHON]
    python -m benchmarks.fetch HTML --latency 0.3 --dead 0.05 --drips 0.02 --spacing 1.0

HTML: a directory of HTML files. PYTHON is the interpreter of an environment with scrapy. A host is an address
of 127.0.0.0/8, so that both sides ask for the same URLs. Both obey robots.txt, ask a host one at a time and
have `threads` requests in flight; ours writes WARC, scrapy's nothing. A figure is the median over the rounds.

With a spacing, the time is compared with the politeness bound: no host's queue can end sooner than its
requests (robots.txt, pages) are apart, nor all of them sooner than `threads` waits for the latency.
"""

import argparse
import asyncio
import json
import multiprocessing
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.fetch import fetch
from pipeline.settings import Fetch
from pipeline.tables import LINKS

PEER = """
import json, sys, time
import scrapy
from scrapy.crawler import CrawlerProcess
urls, threads, spacing = json.load(sys.stdin)
found = 0
class Spider(scrapy.Spider):
    name = "bench"
    async def start(self):
        for url in urls:
            yield scrapy.Request(url, dont_filter=True)
    def parse(self, response):
        global found
        found += 1
process = CrawlerProcess({
    "ROBOTSTXT_OBEY": True, "CONCURRENT_REQUESTS": threads, "CONCURRENT_REQUESTS_PER_DOMAIN": 1,
    "DOWNLOAD_DELAY": spacing, "RANDOMIZE_DOWNLOAD_DELAY": False, "COOKIES_ENABLED": False,
    "RETRY_ENABLED": False, "DOWNLOAD_TIMEOUT": 30, "LOG_ENABLED": False, "TELNETCONSOLE_ENABLED": False,
    "SCHEDULER_PRIORITY_QUEUE": "scrapy.pqueues.DownloaderAwarePriorityQueue",
})
started = time.monotonic()
process.crawl(Spider)
process.start()
print(json.dumps([time.monotonic() - started, found]))
"""


class Web(asyncio.Protocol):
    """Pages by number; a host is `dead` or drips by its number."""

    bodies: tuple[bytes, ...] = ()
    latency = 0.0
    dead: frozenset[str] = frozenset()
    drips: frozenset[str] = frozenset()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.host = transport.get_extra_info("sockname")[0]
        self.pending = b""

    def data_received(self, data: bytes) -> None:
        self.pending += data
        while b"\r\n\r\n" in self.pending:
            head, _, self.pending = self.pending.partition(b"\r\n\r\n")
            path = head.split(b" ", 2)[1]
            if self.host in self.dead:
                return
            if self.latency:
                asyncio.get_running_loop().call_later(self.latency, self.answer, path)
            else:
                self.answer(path)

    def answer(self, path: bytes) -> None:
        if self.transport.is_closing():
            return
        if path == b"/robots.txt":
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\nUser-agent: *\nDisallow: /x")
        elif self.host in self.drips:
            self.transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9999\r\n\r\n<"
            )
            self.drip()
        else:
            body = self.bodies[int(path[1:]) % len(self.bodies)]
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(body)
            self.transport.write(head + body)

    def drip(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(b".")
            asyncio.get_running_loop().call_later(1.0, self.drip)


def serve(html: Path, latency: float, dead: frozenset[str], drips: frozenset[str], port: Any) -> None:
    Web.bodies = tuple(path.read_bytes() for path in sorted(html.rglob("*.html"))[:2000])
    Web.latency, Web.dead, Web.drips = latency, dead, drips

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Web, "0.0.0.0", 0, backlog=1024)
        port.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def ours(urls: list[str], options: Fetch) -> tuple[float, Counter[str]]:
    rows = [
        {"link_id": f"{n:032x}", "url": url, "raw_url": url, "reason": "ok"} for n, url in enumerate(urls)
    ]
    links = pa.Table.from_pylist(rows, schema=LINKS)
    with tempfile.TemporaryDirectory() as directory:
        started = time.monotonic()
        _, counts = fetch(links, options, Path(directory) / "w.warc.gz", batch="b")
        return time.monotonic() - started, counts


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("html", type=Path)
    parser.add_argument("--hosts", type=int, default=2000)
    parser.add_argument("--pages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--dead", type=float, default=0.0, help="share of the hosts that never answer")
    parser.add_argument("--drips", type=float, default=0.0, help="share of the hosts that drip")
    parser.add_argument("--spacing", type=float, default=0.0)
    parser.add_argument("--peer")
    arguments = parser.parse_args()
    hosts = [f"127.{1 + n // 62_500}.{n // 250 % 250}.{1 + n % 250}" for n in range(arguments.hosts)]
    cut = round(arguments.dead * len(hosts)), round((arguments.dead + arguments.drips) * len(hosts))
    dead, drips = frozenset(hosts[: cut[0]]), frozenset(hosts[cut[0] : cut[1]])
    context = multiprocessing.get_context("spawn")
    port = context.Queue()
    server = context.Process(
        target=serve, args=(arguments.html, arguments.latency, dead, drips, port), daemon=True
    )
    server.start()
    number = port.get()
    urls = [f"http://{hosts[n % len(hosts)]}:{number}/{n}" for n in range(arguments.pages)]
    options = Fetch(
        contact="bench@example.org",
        threads=arguments.threads,
        spacing=arguments.spacing,
        address_spacing=0.0,
        allow_networks=["127.0.0.0/8"],
        read_timeout=5.0,
        deadline=15.0,
        retries=0,
        host_failures=1,
    )
    rates: dict[str, list[float]] = {"ours": [], "scrapy": []}
    for _ in range(arguments.rounds):
        seconds, counts = ours(urls, options)
        rates["ours"].append(counts["ok"] / seconds)
        print(f"ours    {seconds:7.1f} s  {dict(counts)}", flush=True)
        if arguments.spacing:
            chain = arguments.spacing * -(-arguments.pages // arguments.hosts)
            waits = arguments.latency * (arguments.pages + arguments.hosts) / arguments.threads
            bound = max(chain, waits) + arguments.latency
            print(f"        {seconds / bound:7.2f} × the bound of {bound:.1f} s")
        if arguments.peer:
            result = subprocess.run(
                [arguments.peer, "-c", PEER],
                input=json.dumps([urls, arguments.threads, arguments.spacing]),
                capture_output=True,
                text=True,
                check=True,
            )
            seconds, found = json.loads(result.stdout)
            rates["scrapy"].append(found / seconds)
            print(f"scrapy  {seconds:7.1f} s  {found} pages", flush=True)
    medians = {name: statistics.median(found) for name, found in rates.items() if found}
    for name, rate in medians.items():
        print(f"{name:<8}{rate:9.0f} pages/s")
    if len(medians) == 2:
        print(f"ratio   {medians['ours'] / medians['scrapy']:9.2f}")
    print(
        f"memory  {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:9.0f} MB at most",
        file=sys.stdout,
    )
    server.terminate()


if __name__ == "__main__":
    main()
