"""The whole chain over real pages: pages a second by stage, and memory.

    python -m benchmarks.real_pages HTML [--workers N]

HTML is a directory with `news/gold.jsonl` and `readability/*/source.html` (tests/web/recorded.py: 250 pages).
They are served on loopback under their real URLs and crawled by `python -m pipeline.crawl`, spacing 0.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

import psutil

from pipeline.batch import funnel
from pipeline.corpus.files import Corpus
from tests.web import recorded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("html", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    pages = recorded.real_pages(arguments.html)
    with tempfile.TemporaryDirectory() as directory, recorded.serve(pages) as base:
        urls = Path(directory) / "urls.txt"
        urls.write_text("\n".join(pages) + "\n", encoding="utf-8")
        corpus = Path(directory) / "corpus"
        settings = {
            "fetch.connect_to": json.dumps({"*": base}),
            "fetch.contact": "benchmark@example.org",
            "fetch.spacing": 0,
            "links.rows": 32,
            "links.wikipedia": "true",
            "cluster.workers": arguments.workers,
        }
        command = [
            sys.executable,
            "-m",
            "pipeline.crawl",
            "--submissions",
            str(urls),
            "--corpus",
            str(corpus),
        ]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        started = time.monotonic()
        process = subprocess.Popen([*command, "--batch", "real"], stdout=subprocess.DEVNULL)
        peaks = watch(process)
        elapsed = time.monotonic() - started
        if process.returncode:
            sys.exit(process.returncode)
        report(Corpus.open(str(corpus)), sum(map(len, pages.values())), elapsed, peaks)


def watch(process: "subprocess.Popen[bytes]") -> dict[str, int]:
    """Waits for the process; returns the peak resident bytes of it, its workers and their children.

    What a forked worker shares with others counts for each of them.
    """
    peaks: dict[str, int] = defaultdict(int)
    ended = threading.Event()

    def kind(process: psutil.Process) -> str:
        command = str(process.cmdline())
        return "an extraction child" if "pipeline.extraction.sandbox_child" in command else "a worker"

    def sample() -> None:
        main = psutil.Process(process.pid)
        while not ended.wait(0.1):
            try:
                peaks["main process"] = max(peaks["main process"], main.memory_info().rss)
                for other in main.children(recursive=True):
                    name = kind(other)
                    peaks[name] = max(peaks[name], other.memory_info().rss)
            except psutil.NoSuchProcess:
                continue

    thread = threading.Thread(target=sample)
    thread.start()
    process.wait()
    ended.set()
    thread.join()
    return peaks


def report(corpus: Corpus, n_bytes: int, elapsed: float, peaks: dict[str, int]) -> None:
    counts = funnel.funnel(corpus, "real")
    seconds = corpus.batches()["real"]["seconds"]
    print(f"{'stage':<30}{'in':>6}{'out':>6}{'seconds':>9}{'rows/s':>9}")
    waiting: list[str] = []
    for stage, reasons in counts.items():
        waiting.append(stage)
        if stage in seconds:
            first, taken = counts[waiting[0]], seconds[stage]
            given = sum(first.values())
            print(
                f"{' + '.join(waiting):<34}"[:34],
                f"{given:>6}{reasons['ok']:>6}{taken:>9.1f}{given / taken:>9.1f}",
            )
            waiting = []
    print(f"\n{n_bytes / 1e6:.1f} MB of HTML, {elapsed:.1f} s in all, start and end of the cluster included")
    for name, peak in peaks.items():
        print(f"peak resident memory of {name}: {peak / 2**20:,.0f} MiB")


if __name__ == "__main__":
    main()
