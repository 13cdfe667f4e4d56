"""Near-duplicates end to end: documents to keep/drop and index, on a local cluster.

    python -m benchmarks.near_duplicates TEXTS.ndjson.zst [--documents 100000 1000000] [--second 100000]
        [--workers 2] [--datatrove PYTHON]

Documents of about 2 kB are made of the sentences of real texts, shuffled. A tenth are copies of others with
some words replaced, so that their exact Jaccard similarity is known; a hundredth are versions of one page.
Printed: seconds, documents a second, the largest resident memory of a worker, the rate at which planted
copies were found by similarity. --second: a batch of that size alone, and after the largest of the others.
--datatrove: an interpreter that has datatrove; its four MinHash stages run on the smallest of the corpora.
"""

import argparse
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import zstandard
from distributed import Client, LocalCluster

from dedup import words
from dedup.minhash import signatures
from pipeline import configuration
from pipeline.batch.progress import Progress
from pipeline.batch.stage import Output, Partition, Run, map_partitions
from pipeline.corpus.files import Corpus
from pipeline.corpus.schemas import DOCUMENTS
from pipeline.settings import Settings
from pipeline.stages import near_duplicates

ROWS = 2000  # documents of a partition, as the pipeline has them
WORDS = 350  # of a document: about 2 kB
COPIES, PAGES = 0.10, 0.01
MAX_EDITS = 60


@cache
def sentences(path: Path) -> list[list[str]]:
    """The words of each distinct sentence of 8 to 60 words."""
    with path.open("rb") as file:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8")
        texts = [row.get("text") or row.get("selftext") or "" for row in map(json.loads, lines)]
    found = {part for text in texts for part in re.split(r"(?<=[.!?])\s+", text)}
    return [split for part in sorted(found) if 8 <= len(split := part.split()) <= 60]


def original(path: Path, number: int) -> list[str]:
    """The words of document `number`, before any copying."""
    pool = sentences(path)
    chosen = np.random.default_rng([1, number]).integers(len(pool), size=WORDS // 8 + 1).tolist()
    found: list[str] = []
    for sentence in chosen:
        found += pool[sentence]
        if len(found) >= WORDS:
            break
    return found


def document(path: Path, number: int) -> tuple[str, int | None, int]:
    """Text of a document, which one it is a copy of, if any, and with how many words replaced."""
    rng = np.random.default_rng([2, number])
    kind = rng.random()
    if number and kind < COPIES + PAGES:
        page = kind >= COPIES
        source = -1 if page else int(rng.integers(number))
        found = original(path, 10**12 if page else source)
        edits = int(rng.integers(1, 4)) if page else int(rng.integers(0, MAX_EDITS))
        for position in rng.choice(len(found), edits, replace=False):
            found[position] = f"edit{rng.integers(10**9)}"
        return " ".join(found), source, edits
    return " ".join(original(path, number)), None, 0


def make(partition: Partition, path: Path, first: int, count: int) -> Output:
    """A partition of documents; their numbers are their ids."""
    start = first + partition.number * ROWS
    numbers = range(start, min(start + ROWS, first + count))
    texts = [document(path, number)[0] for number in numbers]
    columns: dict[str, Any] = {
        "doc_id": [f"{number:012}" for number in numbers],
        "url": [f"http://host.example/{number:012}" for number in numbers],
        "karma": [3] * len(texts),
        "text": texts,
        "reason": ["ok"] * len(texts),
    }
    empty = [None] * len(texts)
    table = pa.table({name: columns.get(name, empty) for name in DOCUMENTS.names}, schema=DOCUMENTS)
    return Output(table, {"documents": {"ok": len(texts)}})


class Memory:
    """The largest resident memory of each process below this one, in MiB, sampled five times a second."""

    def __enter__(self) -> "Memory":
        self.largest: dict[int, int] = {}
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._sample)
        self.thread.start()
        return self

    def _sample(self) -> None:
        while not self.done.wait(0.2):
            own = psutil.Process()
            for process in [own, *own.children(recursive=True)]:
                try:
                    resident = process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
                self.largest[process.pid] = max(resident, self.largest.get(process.pid, 0))

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()

    def __str__(self) -> str:
        own = self.largest.pop(os.getpid()) >> 20
        return f"{max(self.largest.values(), default=0) >> 20} MiB in a worker, {own} MiB in the driver"


@contextmanager
def cluster(workers: int) -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=1, memory_limit="2GiB", dashboard_address=":0"
        ) as local,
        Client(local) as client,
    ):
        yield client


def batch(workers: int, corpus: Corpus, name: str, path: Path, first: int, count: int) -> tuple[Run, float]:
    """Makes documents, then times the stage on them, in fresh workers; commits the batch."""
    with cluster(workers) as client:
        run = Run(corpus, name, Settings(), client, Progress(client))
        parts = list(range(-(-count // ROWS)))
        work = partial(make, path=path, first=first, count=count)
        map_partitions(run, "documents", work, into="documents", inputs=parts, settings=[first, count])
    with cluster(workers) as client:
        client.run(signatures.signatures_and_counts, ["warm up"])
        client.run(words.text_hashes, ["warm up"])
        run = replace(run, client=client, progress=Progress(client))
        load = os.getloadavg()[0]
        with Memory() as memory:
            started = time.monotonic()
            near_duplicates.run(run)
            seconds = time.monotonic() - started
    counts = run.sealed("duplicates").counts["near_duplicates"]
    record = {"state": "committed", "sequence": len(corpus.committed()) + 1, "settings": {}}
    corpus.write_json(f"batches/{name}.json", record)
    print(
        f"{count:,} documents: {seconds:.1f} s, {count / seconds:,.0f}/s, "
        f"{1e6 * seconds / count:.1f} us each, {memory}, load average before {load:.1f}; {counts}",
        flush=True,
    )
    return run, seconds


def found(run: Run, path: Path, count: int, sample: int = 20_000) -> None:
    """By exact similarity, how many planted copies were dropped; candidates by the theory beside it."""
    parameters = near_duplicates.parameters(run.settings.near_duplicates)
    bands, rows = parameters.banding
    reasons: dict[str, str] = {}
    for number in range(min(len(run.sealed("duplicates").parts), -(-sample // ROWS))):
        table = run.table("duplicates").read(number, ["doc_id", "reason"])
        reasons |= dict(zip(table["doc_id"].to_pylist(), table["reason"].to_pylist(), strict=True))
    bins: dict[int, list[tuple[float, bool]]] = {}
    for number in range(min(sample, count)):
        text, source, _ = document(path, number)
        if source is None or source < 0:
            continue
        left, right = (set(signatures.shingle_hashes(t).tolist()) for t in (text, document(path, source)[0]))
        jaccard = len(left & right) / len(left | right)
        dropped = reasons[f"{number:012}"] != "ok"
        bins.setdefault(min(19, int(jaccard * 20)), []).append((jaccard, dropped))
    print("planted copies by exact similarity: pairs, candidates expected, dropped")
    for number, pairs in sorted(bins.items()):
        similarity = np.array([jaccard for jaccard, _ in pairs])
        theory = np.mean(1 - (1 - similarity**rows) ** bands)
        print(
            f"  {number / 20:.2f} to {(number + 1) / 20:.2f}: {len(pairs):5} {theory:6.3f} "
            f"{np.mean([dropped for _, dropped in pairs]):6.3f}"
        )


DATATROVE = """
import sys, time
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig, MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter)
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import ParquetWriter
source, work, workers = sys.argv[1], sys.argv[2], int(sys.argv[3])
if __name__ == "__main__":
    config = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=9)
    reader = lambda: ParquetReader(source, text_key="text", id_key="doc_id", glob_pattern="*.parquet")
    tasks = 2 * workers
    started = time.monotonic()
    for name, count, steps in (
        ("signatures", tasks, [reader(), MinhashDedupSignature(work + "/signatures", config)]),
        ("buckets", 14, [MinhashDedupBuckets(work + "/signatures", work + "/buckets", config=config)]),
        ("cluster", 1, [MinhashDedupCluster(work + "/buckets", work + "/remove", config=config)]),
        ("filter", tasks, [reader(), MinhashDedupFilter(work + "/remove"), ParquetWriter(work + "/out")]),
    ):
        LocalPipelineExecutor(steps, tasks=count, workers=workers, logging_dir=work + "/logs/" + name).run()
    print("SECONDS", time.monotonic() - started)
"""


def datatrove(python: Path | None, run: Run, workers: int, scratch: Path, ours: float) -> None:
    """datatrove's four stages, on the same files with as many processes."""
    if python is None:
        print("datatrove: skipped (--datatrove PYTHON names an interpreter that has it)")
        return
    script = scratch / "peer.py"
    script.write_text(DATATROVE)
    source = run.corpus.path(run.table("documents").directory)
    command: Sequence[str] = [str(python), str(script), source, str(scratch / "peer"), str(workers)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print("datatrove: failed:", done.stderr[-2000:])
        return
    seconds = float(done.stdout.split("SECONDS")[1])
    print(f"datatrove: {seconds:.1f} s on the same documents: this is {seconds / ours:.0f} x as fast")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("texts", type=Path)
    parser.add_argument("--documents", type=int, nargs="+", default=[100_000])
    parser.add_argument("--second", type=int)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--datatrove", type=Path)
    arguments = parser.parse_args()
    path = arguments.texts.resolve()
    configuration.load()
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        workers, largest = arguments.workers, max(arguments.documents)
        for number, count in enumerate(sorted(arguments.documents)):
            corpus = Corpus.create(f"{scratch}/{count}")
            run, seconds = batch(workers, corpus, "first", path, 0, count)
            found(run, path, count)
            if number == 0:
                datatrove(arguments.datatrove, run, workers, Path(scratch), seconds)
            if arguments.second and count == largest:
                alone = Corpus.create(f"{scratch}/alone")
                _, before = batch(workers, alone, "first", path, count, arguments.second)
                _, after = batch(workers, corpus, "second", path, count, arguments.second)
                print(f"{arguments.second:,} after {count:,}: {after / before:.2f} x the time of it alone")


if __name__ == "__main__":
    sys.exit(main())
