"""Pages a second from a loopback web of many hosts, against scrapy, on the same pages and with equal manners.

    python -m benchmarks.fetch HTML [--hosts N] [--pages N] [--rounds N] [--threads N] [--peer PYTHON]
    python -m benchmarks.fetch HTML --threads 256 --spacing 1 --latency 0.3 --dead 0.05 --drips 0.02
    python -m benchmarks.fetch HTML --partitions 10

HTML: a directory of HTML files. PYTHON is the interpreter of an environment with scrapy. A host is an address
of 127.0.0.0/8, so that both sides ask for the same URLs; the web runs in a process of its own, and no two of
its pages are alike. With --partitions ours fetches so many one after another, as a worker does; otherwise all
is one. Both obey robots.txt, ask a host one at a time and have `threads` requests in flight;
ours writes WARC, scrapy's nothing. A figure is the median over the rounds; CPU time is our process's alone.

With a spacing, the time is compared with the politeness bound (see `bound`). By `--skew S` the host of rank r
has r^-S as many pages as the first, as hosts on the web do; 0 is all equally many.
"""

import argparse
import asyncio
import itertools
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
from urllib.parse import urlsplit

import psutil
import pyarrow as pa

from pipeline.corpus.schemas import LINKS
from pipeline.fetch import fetch
from pipeline.settings import Fetch

PEER = """
import json, sys, time
import scrapy
from scrapy.crawler import CrawlerProcess
from scrapy.resolver import dnscache
urls, threads, spacing, options = json.load(sys.stdin)
found = 0
class Spider(scrapy.Spider):
    name = "bench"
    async def start(self):
        if options.get("address"):
            for url in urls:
                dnscache[url.split("/")[2].split(":")[0]] = options["address"]
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
} | options.get("settings", {}))
started, used = time.monotonic(), time.process_time()
process.crawl(Spider)
process.start()
print(json.dumps([time.monotonic() - started, found, time.process_time() - used]))
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
            body = self.bodies[int(path[1:]) % len(self.bodies)] + b"<!-- %s -->" % path
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


def ours(urls: list[str], options: Fetch, partitions: int) -> tuple[float, float, Counter[str]]:
    """Seconds, CPU seconds and outcomes; prints the memory at each tenth of the links."""
    hosts = {host: n % partitions for n, host in enumerate(sorted({urlsplit(url).netloc for url in urls}))}
    rows: list[list[dict[str, str]]] = [[] for _ in range(partitions)]
    for n, url in enumerate(urls):
        row = {"link_id": f"{n:032x}", "url": url, "raw_url": url, "reason": "ok"}
        rows[hosts[urlsplit(url).netloc]].append(row)
    links = [pa.Table.from_pylist(each, schema=LINKS) for each in rows]
    process = psutil.Process()
    resident: list[int] = []
    count = itertools.count(1)

    def note(_: str) -> None:
        if next(count) * 10 // len(urls) > len(resident):
            resident.append(process.memory_info().rss)

    with tempfile.TemporaryDirectory() as directory:
        started, cpu = time.monotonic(), time.process_time()
        counts: Counter[str] = Counter()
        for n, part in enumerate(links):
            counts += fetch(part, options, Path(directory) / f"{n}.warc.gz", batch="b", on_outcome=note)[1]
        seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    print(f"ours    {seconds:7.1f} s, {1000 * cpu / len(urls):.2f} ms of CPU a page  {dict(counts)}")
    print(
        f"        resident at each tenth: {' '.join(f'{size / 2**20:.0f}' for size in resident)} MB",
        flush=True,
    )
    return seconds, cpu, counts


def shares(hosts: int, pages: int, skew: float) -> list[int]:
    """Pages of each host, by rank."""
    weights = [(rank + 1) ** -skew for rank in range(hosts)]
    ends = [round(pages * end / sum(weights)) for end in itertools.accumulate(weights)]
    return [end - start for start, end in itertools.pairwise([0, *ends])]


def bound(queues: list[int], dead: int, drips: int, options: Fetch, latency: float) -> float:
    """The seconds below which manners allow nobody: those of the longest host, or of all over the threads.

    queues: pages of each host; the first `dead` hosts never answer, the next `drips` end at the deadline, and
    both are left alone then. Another takes its robots.txt and pages a spacing apart, and the last's latency.
    """
    silence = min(options.read_timeout, options.robots_timeout)
    gap = max(options.spacing, latency)
    hosts = [silence] * dead + [gap + options.deadline] * drips
    busy = silence * dead + (latency + options.deadline) * drips
    for queue in queues[dead + drips :]:
        hosts.append(queue * gap + latency)
        busy += (queue + 1) * latency
    return max(*hosts, busy / options.threads)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("html", type=Path)
    parser.add_argument("--hosts", type=int, default=2000)
    parser.add_argument("--pages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--partitions", type=int, default=1)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--dead", type=float, default=0.0, help="share of the hosts that never answer")
    parser.add_argument("--drips", type=float, default=0.0, help="share of the hosts that drip")
    parser.add_argument("--spacing", type=float, default=0.0)
    parser.add_argument("--skew", type=float, default=0.0)
    parser.add_argument("--peer")
    arguments = parser.parse_args()
    hosts = [f"127.{1 + n // 62_500}.{n // 250 % 250}.{1 + n % 250}" for n in range(arguments.hosts)]
    cut = round(arguments.dead * len(hosts)), round((arguments.dead + arguments.drips) * len(hosts))
    dead, drips = frozenset(hosts[: cut[0]]), frozenset(hosts[cut[0] : cut[1]])
    queues = shares(arguments.hosts, arguments.pages, arguments.skew)
    queues = queues[-cut[1] :] + queues[: -cut[1]] if cut[1] else queues  # those that fail are small ones
    context = multiprocessing.get_context("spawn")
    port = context.Queue()
    server = context.Process(
        target=serve, args=(arguments.html, arguments.latency, dead, drips, port), daemon=True
    )
    server.start()
    number = port.get()
    urls = [
        f"http://{host}:{number}/{n}"
        for n, (_, host) in enumerate(
            sorted((place, host) for host, queue in zip(hosts, queues, strict=True) for place in range(queue))
        )
    ]
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
        seconds, _, counts = ours(urls, options, arguments.partitions)
        rates["ours"].append(counts["ok"] / seconds)
        if arguments.spacing:
            least = bound(queues, len(dead), len(drips), options, arguments.latency)
            print(f"        {seconds / least:7.2f} × the bound of {least:.1f} s", flush=True)
        if arguments.peer:
            result = subprocess.run(
                [arguments.peer, "-c", PEER],
                input=json.dumps([urls, arguments.threads, arguments.spacing, {}]),
                capture_output=True,
                text=True,
                check=True,
            )
            seconds, found, _ = json.loads(result.stdout)
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
