"""How long the fetch stage of a whole batch takes, against what politeness, latency and cores demand.

    python -m benchmarks.makespan simulate DOMAINS [--links N] [--workers N]
    python -m benchmarks.makespan crawl URLS WORK [--links N] [--rows N] [--dead 0.05] [--drips 0.02]

The bound is the largest of: the longest queue of a host (its robots.txt included) by the spacing; requests by
latency and threads; requests by CPU time and cores.

simulate: the crawler's own schedule, pace and admission of partitions on a virtual clock, with the host
counts of DOMAINS (lines "count name", as OpenAI published them for WebText), continued with the slope of
their tail. What cannot be fetched within `batch_time` for politeness alone is reported apart from what else
was deferred.

crawl: `python -m pipeline.crawl` over a web on loopback that waits before it answers, with the host counts of
a file of real submissions (NDJSON, plain or zstd). Dead hosts never answer; drips send a byte a second.
"""

import argparse
import collections
import heapq
import itertools
import json
import math
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil
import zstandard

from pipeline.fetch.frontier import Room
from pipeline.fetch.http.target import Target
from pipeline.fetch.outcome import Failure
from pipeline.fetch.politeness.host import Host
from pipeline.fetch.politeness.robots import Rules
from pipeline.fetch.politeness.schedule import Schedule
from pipeline.fetch.politeness.turns import Limits
from pipeline.fetch.threads import MAX_SLOW, SLOW
from pipeline.fetch.visit import Visit
from pipeline.settings import Fetch

CONTACT = "benchmark@example.org"


# ---- simulation


class VirtualTurns:
    """The turns of one machine in a dictionary, in virtual time."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}

    def due(self, name: str) -> float:
        return self._due.get(name, 0.0)

    def claim(self, now: float, wanted: Mapping[str, Limits]) -> str | None:
        for name, limits in wanted.items():
            self._due[name] = now + limits.spacing
        return None

    def release(self, spacings: Mapping[str, float], last_sent: float) -> None:
        """Sending takes no time here, so the turn is that of the claim."""

    def delay(self, name: str, until: float) -> None:
        self._due[name] = max(self.due(name), until)


class VirtualJob:
    """A partition of some hosts; counts its links down."""

    def __init__(self, hosts: Sequence[tuple[str, int]]) -> None:
        self.hosts = hosts
        self.links = sum(count for _, count in hosts)
        self.left = self.links

    def visits(self) -> Iterator[Visit]:
        for name, count in self.hosts:
            target = Target(f"http://{name}/", "http", name, 80)
            for row in range(count):
                yield Visit(self, row, target, target.origin, seen=_NOTHING)  # type: ignore[arg-type]


_NOTHING: set[str] = set()


class Worker:
    """A process: its schedule, the threads that have nothing to do, and when its core is free."""

    def __init__(self, settings: Fetch, now: Any) -> None:
        self.schedule = Schedule(settings, now, VirtualTurns())
        self.room = Room(settings.open_links)
        self.idle = settings.threads
        self.slow = 0
        self.core_free = 0.0
        self.wakes = math.inf  # when the next host comes due
        self.open_links = 0
        self.most_open = 0


class Batch:
    """A fetch stage in virtual time. dead, drips: shares of hosts that never answer, or never end a page."""

    def __init__(
        self,
        counts: Sequence[int],
        settings: Fetch,
        *,
        workers: int,
        rows: int,
        latency: float,
        cpu: float,
        dead: float = 0.0,
        drips: float = 0.0,
    ) -> None:
        self.now = self.last = 0.0
        self.fetched = 0
        self.settings, self.latency, self.cpu = settings, latency, cpu
        chance = random.Random(0)
        partitions: list[list[tuple[str, int]]] = [[] for _ in range(max(1, math.ceil(sum(counts) / rows)))]
        for n, count in enumerate(counts):
            share = chance.random()
            kind = "dead" if share < dead else "drip" if share < dead + drips else "host"
            partitions[chance.randrange(len(partitions))].append((f"{kind}{n}.example", count))
        filled = [partition for partition in partitions if partition]
        self.queue = collections.deque(sorted(filled, key=lambda p: -max(count for _, count in p)))
        self.workers = [Worker(settings, lambda: self.now) for _ in range(workers)]
        self.order = itertools.count()
        self.events: list[tuple[float, int, Worker, Callable[[], None]]] = []

    def run(self) -> None:
        """Until the last link has its outcome, or the batch's time is over."""
        for worker in self.workers:
            self.dispatch(worker)
        while self.events and self.events[0][0] < self.settings.batch_time:
            self.now, _, worker, happens = heapq.heappop(self.events)
            happens()
            self.dispatch(worker)

    def at(self, when: float, worker: Worker, happens: Callable[[], None]) -> None:
        heapq.heappush(self.events, (when, next(self.order), worker, happens))

    def dispatch(self, worker: Worker) -> None:
        """Gives every idle thread something to do, as long as there is something."""
        while worker.idle:
            turn = worker.schedule.poll()
            if isinstance(turn, tuple):
                self.take(worker, *turn)
            elif not self.admit(worker):
                if turn < worker.wakes:
                    worker.wakes = turn
                    self.at(turn, worker, lambda: self.wake(worker))
                return

    def wake(self, worker: Worker) -> None:
        worker.wakes = math.inf

    def admit(self, worker: Worker) -> bool:
        """As `Frontier.admitted`, for a worker with nothing to do."""
        if not self.queue or not worker.room.enter(sum(c for _, c in self.queue[0]), starved=True):
            return False
        job = VirtualJob(self.queue.popleft())
        worker.open_links += job.links
        worker.most_open = max(worker.most_open, worker.open_links)
        worker.schedule.add(job.visits())
        return True

    def take(self, worker: Worker, host: Host, visit: Visit) -> None:
        """As `Crawler.advance`."""
        rules = host.rules.get(visit.target.origin)
        if visit.row is not None and (host.pace.failing or (rules and rules.blocked)):
            self.end(worker, visit)
            worker.schedule.release(host)
        elif visit.row is not None and rules is None:
            worker.schedule.await_robots(host, visit)
            worker.schedule.release(host)
        else:
            host.pace.claim(self.now, None)
            host.pace.sent(self.now)
            worker.idle -= 1
            worker.core_free = max(worker.core_free, self.now) + self.cpu
            seconds = self.latency
            if host.name.startswith("dead"):
                seconds = self.settings.robots_timeout
            elif host.name.startswith("drip") and visit.row is not None:
                seconds = self.settings.deadline
            self.at(worker.core_free + seconds, worker, lambda: self.answer(worker, host, visit, seconds))
            if seconds > SLOW:
                self.at(self.now + SLOW, worker, lambda: self.replace(worker))

    def replace(self, worker: Worker) -> None:
        """As `Threads.start`: another thread for one that waits."""
        if worker.slow < MAX_SLOW:
            worker.slow += 1
            worker.idle += 1

    def answer(self, worker: Worker, host: Host, visit: Visit, seconds: float) -> None:
        self.last = self.now
        if seconds > SLOW and worker.slow:
            worker.slow -= 1
        else:
            worker.idle += 1
        if visit.row is None:
            failure = Failure("timeout", "") if seconds > self.latency else None
            worker.schedule.set_rules(visit.origin, Rules(blocked=failure))
        elif seconds > self.latency:
            host.pace.failures += 1
            self.end(worker, visit)
        else:
            self.end(worker, visit)
        worker.schedule.release(host)

    def end(self, worker: Worker, visit: Visit) -> None:
        self.fetched += 1
        job: Any = visit.job
        job.left -= 1
        if not job.left:
            worker.room.leave(job.links)
            worker.open_links -= job.links


def host_counts(domains: Path, links: int) -> list[int]:
    """Links of each host, the largest first: the published counts and their tail's slope, scaled to `links`.

    The tail goes on down to hosts of one link.
    """
    lines = domains.read_text("utf-8").splitlines()
    published = np.array([int(line.split()[0]) for line in lines if line.strip()], float)
    ranks = np.arange(1, len(published) + 1)
    half = len(published) // 2
    slope, offset = np.polyfit(np.log(ranks[half:]), np.log(published[half:]), 1)
    low, high = 0.0, 1.0
    for _ in range(50):
        scale = (low + high) / 2
        last = (np.exp(offset) * scale) ** (-1 / slope)  # rank of the last host with a link
        tail = np.arange(len(published) + 1, max(last, len(published)) + 1)
        counts = np.rint(np.concatenate([published, np.exp(offset) * tail**slope]) * scale)
        low, high = (scale, high) if counts.sum() < links else (low, scale)
    return [int(count) for count in counts if count >= 1]


def simulated(arguments: argparse.Namespace) -> None:
    settings = Fetch(contact=CONTACT, batch_time=arguments.batch_time * 3600)
    counts = host_counts(arguments.domains, arguments.links)
    total = sum(counts)
    fits = int(settings.batch_time / settings.spacing) - 1  # links of a host, after its robots.txt
    polite = min((max(counts) + 1) * settings.spacing, settings.batch_time)
    requests = sum(min(count, fits) for count in counts) + len(counts)
    waiting = requests * arguments.latency / (settings.threads * arguments.workers)
    working = requests * arguments.cpu / arguments.workers
    bound = max(polite, waiting, working)
    started = time.process_time()
    batch = Batch(
        counts,
        settings,
        workers=arguments.workers,
        rows=arguments.rows,
        latency=arguments.latency,
        cpu=arguments.cpu,
        dead=arguments.dead,
        drips=arguments.drips,
    )
    batch.run()
    most_open = max(worker.most_open for worker in batch.workers)
    unavoidable = sum(max(count - fits, 0) for count in counts)
    print(f"{total:,} links of {len(counts):,} hosts, longest {max(counts):,}; {arguments.workers} workers")
    print(
        f"bound {bound / 3600:.2f} h (politeness {polite / 3600:.2f}, latency {waiting / 3600:.2f}, "
        f"cores {working / 3600:.2f})"
    )
    deferred = total - batch.fetched
    print(
        f"simulated {batch.last / 3600:.2f} h, {batch.last / bound:.3f} x the bound; deferred "
        f"{deferred:,} links, {unavoidable:,} of them in any order: {arguments.batch_time:.0f} h by host"
    )
    print(f"at most {most_open:,} links open in a worker; it took {time.process_time() - started:.0f} s")


# ---- a crawl over loopback

WEB = """
import asyncio, zlib
async def serve(r, w):
    try:
        while True:
            head = await r.readuntil(b"\\r\\n\\r\\n")
            path = head.split(b" ", 2)[1]
            host = next(l for l in head.split(b"\\r\\n") if l.lower().startswith(b"host:"))[5:].strip()
            share = zlib.crc32(host) / 2**32
            if share < {dead}:
                await asyncio.sleep(3600)
            body, status, kind = b"<html><p>" + path * 40 + b"</p></html>", b"200 OK", b"text/html"
            if path == b"/robots.txt":
                body, status, kind = b"", b"404 Not Found", b"text/plain"
            await asyncio.sleep({latency})
            w.write(b"HTTP/1.1 " + status + b"\\r\\nContent-Type: " + kind + b"\\r\\nContent-Length: "
                    + str(len(body)).encode() + b"\\r\\n\\r\\n")
            if kind == b"text/html" and {dead} <= share < {dead} + {drips}:
                for byte in body:
                    w.write(bytes([byte])); await w.drain(); await asyncio.sleep(1)
            else:
                w.write(body)
            await w.drain()
    except (asyncio.IncompleteReadError, ConnectionError): pass
    finally: w.close()
async def main():
    s = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    print(s.sockets[0].getsockname()[1], flush=True)
    async with s: await s.serve_forever()
asyncio.run(main())
"""
MEDIA = (
    "reddit",
    "redd.it",
    "imgur",
    "youtu",
    "wikipedia",
    "flic",
    "minus",
    "twitter",
    "facebook",
    "quickmeme",
    "qkme",
)


def hosts_of(urls: Path, count: int) -> list[str]:
    """The hosts of `count` links among real submissions, shuffled; repeated under other names if few."""
    raw = urls.read_bytes()
    if urls.suffix == ".zst":
        decompressor = zstandard.ZstdDecompressor(max_window_size=2**31)
        raw = decompressor.stream_reader(raw, read_across_frames=True).read()
    hosts = []
    for line in raw.decode("utf-8", "replace").splitlines():
        try:
            host = urlsplit(json.loads(line)["url"]).hostname or ""
        except (ValueError, KeyError, TypeError):
            continue
        plain = host.replace(".", "").replace("-", "")
        usual = "." in host and host.isascii() and plain.isalnum() and not plain.isdigit()
        if usual and not any(name in host for name in MEDIA):
            hosts.append(host)
    random.Random(7).shuffle(hosts)
    times = math.ceil(count / len(hosts))
    return [f"{'' if not n else f'n{n}.'}{host}" for n in range(times) for host in hosts][:count]


class Memory(threading.Thread):
    """The largest resident memory of a descendant of a process, in MiB, and how it went, sampled."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self.samples: list[float] = []

    def run(self) -> None:
        while True:
            try:
                sizes = [p.memory_info().rss for p in psutil.Process(self._pid).children(recursive=True)]
            except psutil.Error:
                sizes = []
            self.samples.append(max(sizes, default=0) / 2**20)
            time.sleep(1)


def crawled(arguments: argparse.Namespace) -> None:
    hosts = hosts_of(arguments.urls, arguments.links)
    queues = Counter(hosts)
    arguments.work.mkdir(parents=True, exist_ok=True)
    dump = arguments.work / "submissions.ndjson"
    with dump.open("w") as file:
        for n, host in enumerate(hosts):
            submission = {"id": f"a{n}", "url": f"http://{host}/story/{n}", "score": 10, "is_self": False}
            file.write(json.dumps(submission | {"created_utc": 1500000000, "subreddit": "x"}) + "\n")
    web = WEB.format(latency=arguments.latency, dead=arguments.dead, drips=arguments.drips)
    server = subprocess.Popen([sys.executable, "-c", web], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        changes = {
            "fetch.contact": CONTACT,
            "fetch.connect_to": json.dumps({"*": f"http://127.0.0.1:{port}"}),
            "fetch.spacing": arguments.spacing,
            "fetch.address_spacing": 0,
            "fetch.address_connections": 256,
            "fetch.threads": arguments.threads,
            "fetch.deadline": arguments.deadline,
            "fetch.host_failures": 2,
            "fetch.retries": 1,
            "links.rows": arguments.rows,
            "cluster.workers": arguments.workers,
        }
        command = [sys.executable, "-m", "pipeline.crawl", "--submissions", str(dump), "--until", "fetch"]
        command += ["--corpus", str(arguments.work / "corpus"), "--batch", "b"]
        command += [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        memory = Memory(process.pid)
        memory.start()
        said = process.communicate()[1].splitlines()
    finally:
        server.terminate()
    line = next((text for text in reversed(said) if text.startswith("fetch: ")), None)
    if process.returncode or line is None:
        sys.exit(f"the crawl failed: {said[-1:]}")
    seconds = float(line.split(" in ")[1].split(" s")[0].replace(",", ""))
    longest = max(queues.values()) + 1
    requests = len(hosts) + len(queues)
    polite = longest * arguments.spacing
    waiting = requests * arguments.latency / (arguments.workers * arguments.threads)
    bound = max(polite, waiting)
    print(
        f"{len(hosts):,} links of {len(queues):,} hosts, longest queue {longest}; {arguments.workers} workers"
    )
    print(
        f"fetch {seconds:.1f} s: {seconds / bound:.2f} x (politeness {polite:.1f} s, latency {waiting:.1f} s)"
    )
    half = len(memory.samples) // 2
    print(
        f"{requests / seconds:.0f} requests/s; largest process {max(memory.samples):.0f} MiB "
        f"({max(memory.samples[:half], default=0):.0f} in the first half)"
    )
    print(line)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    virtual = commands.add_parser("simulate")
    virtual.add_argument("domains", type=Path)
    virtual.add_argument("--links", type=int, default=1_500_000)
    virtual.add_argument("--workers", type=int, default=2)
    virtual.add_argument("--rows", type=int, default=2000)
    virtual.add_argument("--latency", type=float, default=0.5)
    virtual.add_argument("--cpu", type=float, default=0.0015)
    virtual.add_argument("--dead", type=float, default=0.0)
    virtual.add_argument("--drips", type=float, default=0.0)
    virtual.add_argument("--batch-time", type=float, default=6.0, help="hours")
    virtual.set_defaults(run=simulated)
    real = commands.add_parser("crawl")
    real.add_argument("urls", type=Path)
    real.add_argument("work", type=Path)
    real.add_argument("--links", type=int, default=8_000)
    real.add_argument("--rows", type=int, default=200)
    real.add_argument("--workers", type=int, default=2)
    real.add_argument("--threads", type=int, default=32)
    real.add_argument("--spacing", type=float, default=0.2)
    real.add_argument("--latency", type=float, default=0.15)
    real.add_argument("--deadline", type=float, default=10.0)
    real.add_argument("--dead", type=float, default=0.0)
    real.add_argument("--drips", type=float, default=0.0)
    real.set_defaults(run=crawled)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
