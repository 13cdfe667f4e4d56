"""Writing one split of a corpus: its shards, in parallel, and then the manifest that lists them."""

import posixpath
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import fsspec
import pyarrow as pa

from shards import manifest, placement, writer
from shards.manifest import Header, Manifest, ShardFile
from shards.tokenizer import Tokenizer

__all__ = ["map_ahead", "write_split"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def write_split(
    tables: Iterable[pa.Table],
    directory: str,
    *,
    n_shards: int,
    split: str,
    batch: str,
    tokenizer: Tokenizer,
    tokens_per_row_group: int,
    workers: int = 1,
) -> Manifest:
    """Writes one shard per table into a directory (an fsspec path, made if missing), then the manifest.

    tables: `n_shards` of them, each the documents of a shard as `shards.writer.write_shard` takes them.
    workers: shards written at the same time; each holds its table and a sorted copy of it.

    A shard is written to a temporary file first, so the directory never holds half of one. Raises ValueError
    as `write_shard` does, and OSError.
    """
    fs, root = fsspec.core.url_to_fs(directory)
    fs.makedirs(root, exist_ok=True)

    def write(numbered: tuple[int, pa.Table]) -> tuple[Header, ShardFile]:
        number, table = numbered
        name = placement.file_name(split, number, n_shards)
        with tempfile.TemporaryDirectory(prefix="shards-") as scratch:
            path = Path(scratch) / name
            writer.write_shard(
                table, path, tokenizer=tokenizer, split=split, tokens_per_row_group=tokens_per_row_group
            )
            described = manifest.describe(str(path))
            fs.put_file(str(path), posixpath.join(root, name))
        return described

    with ThreadPoolExecutor(workers) as pool:
        described = list(map_ahead(pool, write, enumerate(tables), ahead=workers - 1))
    made = Manifest.of(described[0][0], split=split, batch=batch, files=[file for _, file in described])
    fs.pipe_file(posixpath.join(root, manifest.NAME), made.dumps().encode())
    return made


def map_ahead(
    pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], *, ahead: int
) -> Iterator[Result]:
    """A bounded `Executor.map`: yields the results in order, with at most ahead + 1 items submitted.

    After an error, or when the iteration is broken off, what has not started is cancelled.
    """
    running: deque[Future[Result]] = deque()
    try:
        for item in items:
            running.append(pool.submit(partial(function, item)))
            del item  # or the last one would live as long as the iteration
            if len(running) > ahead:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        for future in running:
            future.cancel()
