"""Reading a dump on one core: from .zst of real API objects to rows of submissions, MB of JSON a CPU second.

    python -m benchmarks.dumps praw_api_submissions.ndjson.zst [--copies N] [--rounds N]

The lines are repeated, so that a figure is over some seconds, and compressed at level 3. A figure is
the median over the rounds, in CPU time.
"""

import argparse
import io
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path

import zstandard

from pipeline.submissions.sources import read


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dump", type=Path)
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with arguments.dump.open("rb") as file:
        reader = zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(
            file, read_across_frames=True
        )
        data = io.BufferedReader(reader).read()
    with tempfile.NamedTemporaryFile(suffix=".zst") as copies:
        with zstandard.ZstdCompressor(3).stream_writer(copies, closefd=False) as writer:
            for _ in range(arguments.copies):
                writer.write(data)
        copies.flush()
        size = len(data) * arguments.copies
        rates = []
        for _ in range(arguments.rounds):
            counts: Counter[str] = Counter()
            started = time.process_time()
            rows = sum(batch.num_rows for batch in read(copies.name, rows=50_000, counts=counts))
            rates.append(size / 1e6 / (time.process_time() - started))
        print(f"{size / 1e6:.0f} MB of JSON, {rows} rows, {dict(counts)}")
        print(f"{statistics.median(rates):.0f} MB/s ({min(rates):.0f} to {max(rates):.0f})")


if __name__ == "__main__":
    main()
