"""Converts shards to the formats of other training code. `webtext export` is the same command.

Formats:
  nanogpt    train.bin and val.bin (the held-out split): all ids, to be read with numpy's memmap
  megatron   SPLIT.bin and SPLIT.idx, for Megatron-LM's IndexedDataset: one sequence per document
  jsonl      SPLIT.jsonl: an object per line, with doc_id, url and text
  jsonl.zst  the same, compressed with Zstandard
"""

import argparse
import json
import posixpath
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, Any, TypeAlias

import fsspec
import numpy as np

from shards.reader import Shard, find_shards, list_values, load_for, open_each

__all__ = ["FORMATS", "export", "main"]

# Opens a new file by its name; it appears under that name when it is complete.
Create: TypeAlias = Callable[[str], AbstractContextManager[IO[bytes]]]

# The codes of numpy types in Megatron-LM (megatron/core/datasets/indexed_dataset.py), which has no uint32.
_MEGATRON_TYPES = {"uint16": (8, "<u2"), "uint32": (4, "<i4")}


def nanogpt(shards: Iterable[Shard], split: str, create: Create) -> None:
    """All ids, end tokens included, little-endian in the dtype of the shards, without any header."""
    with create(f"{'val' if split == 'heldout' else split}.bin") as file:
        for shard in shards:
            for ids, _ in _row_groups(shard):
                file.write(ids.tobytes())


def megatron(shards: Iterable[Shard], split: str, create: Create) -> None:
    """Data and index of an IndexedDataset, version 1, a sequence per document. Holds 8 bytes per document."""
    lengths = []
    with create(f"{split}.bin") as file:
        for shard in shards:
            code, dtype = _MEGATRON_TYPES[shard.header.dtype]
            for ids, offsets in _row_groups(shard):
                file.write(ids.astype(dtype).tobytes())
                lengths.append(np.diff(offsets))
    n_tokens = np.concatenate(lengths) if lengths else np.zeros(0, np.int64)
    pointers = (np.cumsum(n_tokens) - n_tokens) * np.dtype(dtype).itemsize
    with create(f"{split}.idx") as file:
        file.write(b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, code, len(n_tokens), len(n_tokens) + 1))
        file.write(n_tokens.astype("<i4").tobytes())
        file.write(pointers.astype("<i8").tobytes())
        file.write(
            np.arange(len(n_tokens) + 1, dtype="<i8").tobytes()
        )  # the sequence at which each document begins


def jsonl(shards: Iterable[Shard], split: str, create: Create, suffix: str = "jsonl") -> None:
    """A JSON object per line with the doc_id, url and text of a document."""
    with create(f"{split}.{suffix}") as file:
        for shard in shards:
            tokenizer = load_for(shard.header, shard.name)
            for index in range(shard.n_row_groups):
                for doc_id, url, ids in shard.row_group(index):
                    row = {"doc_id": doc_id, "url": url, "text": tokenizer.decode(ids[:-1])}
                    file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


def jsonl_zst(shards: Iterable[Shard], split: str, create: Create) -> None:
    """As `jsonl`, compressed with Zstandard."""
    jsonl(shards, split, create, "jsonl.zst")


FORMATS: dict[str, Callable[[Iterable[Shard], str, Create], None]] = {
    "nanogpt": nanogpt,
    "megatron": megatron,
    "jsonl": jsonl,
    "jsonl.zst": jsonl_zst,
}


def export(path: str, directory: str, to: str) -> list[str]:
    """Converts all shards at a path, split by split. Both `path` and `directory` are fsspec paths.

    to: one of FORMATS. Returns the paths of the new files, which replace older ones of the same name. Raises
    FileNotFoundError if there are no shards; ValueError for an unknown format, or a shard that is damaged or
    has ids of another vocabulary than the first.
    """
    if to not in FORMATS:
        raise ValueError(f"unknown format {to!r}: expected one of {', '.join(FORMATS)}")
    fs, names = find_shards(path)
    by_split: dict[str, list[str]] = {}
    for name, shard in zip(names, open_each(fs, names), strict=True):
        by_split.setdefault(shard.header.split, []).append(name)
    target, root = fsspec.core.url_to_fs(directory)
    target.makedirs(root, exist_ok=True)
    made = []

    @contextmanager
    def create(name: str) -> Iterator[IO[bytes]]:
        part, whole = posixpath.join(root, f".{name}.part"), posixpath.join(root, name)
        compression = "zstd" if name.endswith(".zst") else None
        try:
            with fsspec.open(target.unstrip_protocol(part), "wb", compression=compression) as file:
                yield file
            target.mv(part, whole)
        except BaseException:
            if target.exists(part):
                target.rm(part)
            raise
        made.append(whole)

    for split, of_split in by_split.items():
        FORMATS[to](open_each(fs, of_split), split, create)
    return made


def _row_groups(shard: Shard) -> Iterator[tuple[Any, Any]]:
    """ids and offsets of each row group, as `shards.reader.list_values` gives them."""
    for index in range(shard.n_row_groups):
        yield list_values(shard.table(index, ["tokens"])["tokens"])


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code: 0, or 2 if something cannot be read or written."""
    parser = argparse.ArgumentParser(
        prog="python -m shards.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", help="a shard, or a directory of shards; any fsspec path")
    parser.add_argument("directory", help="where to write; any fsspec path")
    parser.add_argument(
        "--to", choices=list(FORMATS), default="nanogpt", help="see above (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    try:
        for name in export(options.path, options.directory, options.to):
            print(name)
    except (ValueError, OSError) as error:
        print(f"shards.export: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
