"""Extraction on one core: pages a second of each engine and of trafilatura's defaults, and how good it is.

    python -m benchmarks.extraction HTML [--every N] [--rounds N]

HTML is a directory with `news/gold.jsonl` and `readability/*/source.html`. Every extractor has a process of
its own (ours prepares trafilatura's parser and expressions; the peer must not profit). They take turns,
25 pages each, and what counts is each process's CPU time, so that a busy machine disturbs all of them alike.
(Page by page each of them would find its code and data gone from the processor's caches.) Each round has new
processes, so that nothing is remembered of a page; of the rounds the quickest of each is taken.

Then the cost of the sandbox: all pages through a child process against the same function called directly, CPU
time of both processes and wall clock, the median of the rounds behind a first one. Nothing is dropped early.
"""

import argparse
import gzip
import json
import re
import statistics
import subprocess
import sys
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil
from lxml import html

TURN = 25  # pages
PEERS = ("trafilatura.extract",)


class Gold(msgspec.Struct):
    url: str
    body: bytes
    text: str


SHORT = Gold("http://example.org/", b"<html><body><p>A short page.</p><p>No more.</p></body></html>", "")


def news(directory: Path) -> list[Gold]:
    lines = (directory / "news/gold.jsonl").read_text("utf-8").splitlines()
    return [
        Gold(
            gold["url"], gzip.decompress((directory / "news" / gold["html"]).read_bytes()), gold["gold_text"]
        )
        for gold in map(json.loads, lines)
    ]


def readability(directory: Path) -> list[Gold]:
    sources = sorted((directory / "readability").glob("*/source.html"))
    texts = [
        html.fromstring(source.with_name("expected.html").read_text("utf-8")).text_content()
        for source in sources
    ]
    url = "http://fakehost/test/page"
    return [Gold(url, source.read_bytes(), text) for source, text in zip(sources, texts, strict=True)]


SETS: dict[str, Callable[[Path], list[Gold]]] = {"news": news, "readability": readability}


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", unicodedata.normalize("NFC", text).lower()))


def f1(found: str, gold: str) -> float:
    """F1 of the multisets of words."""
    ours, theirs = words(found), words(gold)
    return 2 * (ours & theirs).total() / (ours.total() + theirs.total())


class Extractor:
    """A process with one extractor: the text of a page, and the CPU seconds that it took."""

    def __init__(self, name: str) -> None:
        command = [sys.executable, "-m", "benchmarks.extraction", "--serve", name]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, page: Gold) -> tuple[float, str]:
        assert self.process.stdin
        assert self.process.stdout
        write(self.process.stdin, msgspec.msgpack.encode(page))
        return msgspec.msgpack.decode(read(self.process.stdout), type=tuple[float, str])


def write(file, message: bytes) -> None:  # type: ignore[no-untyped-def]
    file.write(len(message).to_bytes(4) + message)
    file.flush()


def read(file) -> bytes:  # type: ignore[no-untyped-def]
    return bytes(file.read(int.from_bytes(file.read(4))))


def serve(name: str) -> None:
    extract = extractor(name)
    while length := int.from_bytes(sys.stdin.buffer.read(4)):
        page = msgspec.msgpack.decode(sys.stdin.buffer.read(length), type=Gold)
        started = time.process_time()
        text = extract(page)
        write(sys.stdout.buffer, msgspec.msgpack.encode((time.process_time() - started, text)))


def extractor(name: str) -> Callable[[Gold], str]:
    if name == "trafilatura.extract":
        import trafilatura

        return lambda page: trafilatura.extract(page.body) or ""
    from pipeline.extraction.one_page import extract_page
    from pipeline.extraction.page import Page

    def ours(page: Gold) -> str:
        found = extract_page(Page(page.body, page.url, fetched="2026-01-01", engine=name))
        return found.text if found else ""

    return ours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("html", type=Path, nargs="?")
    parser.add_argument("--every", type=int, default=1, help="only every so manyth page")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    from pipeline.extraction.engines import ENGINES

    pages = [(of, page) for of, make in SETS.items() for page in make(arguments.html)[:: arguments.every]]
    names = (*PEERS, *ENGINES)
    seconds = {name: [float("inf")] * len(pages) for name in names}
    scores: dict[tuple[str, str], list[float]] = defaultdict(list)
    for number in range(arguments.rounds):
        extractors = {name: Extractor(name) for name in names}
        for extract in extractors.values():
            extract(SHORT)  # imports; jusText's stop lists, of which each process needs one copy
        for start in range(0, len(pages), TURN):
            for name, extract in extractors.items():
                for at, (of, page) in enumerate(pages[start : start + TURN], start):
                    took, text = extract(page)
                    seconds[name][at] = min(seconds[name][at], took)
                    if number == 0:
                        scores[name, of].append(f1(text, page.text))
        for extract in extractors.values():
            extract.process.kill()
            extract.process.wait()
    print(
        f"{len(pages)} pages\n{'':<22}{'pages/s':>9}{'times':>7}"
        + "".join(f"{f'F1 {of}':>16}" for of in SETS)
    )
    for name in names:
        times = sum(seconds[PEERS[0]]) / sum(seconds[name])
        mean = [statistics.mean(scores[name, of]) for of in SETS]
        print(
            f"{name:<22}{len(pages) / sum(seconds[name]):>9.1f}{times:>7.2f}"
            + "".join(f"{score:>16.4f}" for score in mean)
        )
    print(overhead([page for _, page in pages], arguments.rounds))


def overhead(golds: list[Gold], rounds: int) -> str:
    from pipeline.extraction.one_page import extract_page
    from pipeline.extraction.page import Dropped, Page, Text
    from pipeline.extraction.sandbox import Sandbox

    pages = [Page(gold.body, gold.url, fetched="2026-01-01") for gold in golds]
    sandbox: Sandbox[Page, Text | Dropped] = Sandbox(
        extract_page, deadline=60.0, memory_limit=2**31, recycle_after=sys.maxsize
    )

    def cpu() -> float:
        processes = [me, *me.children()]
        return sum(sum(process.cpu_times()[:2]) for process in processes)

    def seconds(run: Callable[[], object]) -> tuple[float, float]:
        before, started = cpu(), time.monotonic()
        run()
        return cpu() - before, time.monotonic() - started

    me = psutil.Process()
    ratios = []
    with sandbox:
        for _ in range(rounds + 1):
            inside = seconds(lambda: list(map(extract_page, pages)))
            through = seconds(lambda: list(sandbox.map(pages)))
            ratios.append([b / a - 1 for a, b in zip(inside, through, strict=True)])
    of_cpu, of_wall = (statistics.median(column) for column in zip(*ratios[1:], strict=True))
    return f"the sandbox costs {of_cpu:+.1%} of CPU time, {of_wall:+.1%} of wall clock"


if __name__ == "__main__":
    main()
