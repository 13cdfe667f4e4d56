"""Reading shards in order: documents as ids or as text, from any fsspec path, a row group at a time.

For training, see `shards.stream`.
"""

import itertools
import posixpath
from collections.abc import Iterator, Sequence
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from shards.manifest import Header, TokenFormat, open_parquet
from shards.tokenizer import IdArray, Tokenizer, load

__all__ = [
    "Shard",
    "find_shard_sizes",
    "find_shards",
    "list_values",
    "load_for",
    "open_each",
    "open_shards",
    "read_documents",
    "read_texts",
]

_SUFFIX = ".parquet"


class Shard:
    """An open shard: its `name`, its `header`, and its documents by row group. Get one from `open_shards`.

    Raises ValueError for a file that is not a shard, or is damaged.
    """

    def __init__(self, file: Any, name: str) -> None:
        self.name = name
        self._parquet: pq.ParquetFile = open_parquet(file, name)
        self.header = Header.of(self._parquet.metadata, name)

    @property
    def n_row_groups(self) -> int:
        """The number of row groups in the file."""
        return int(self._parquet.num_row_groups)

    def row_group(self, index: int) -> Iterator[tuple[str, str, IdArray]]:
        """(doc_id, url, ids) of each document in a row group; the ids end with the end token.

        The ids are read-only views into one array of the row group. Raises ValueError for damage.
        """
        table = self.table(index, ["doc_id", "url", "tokens"])
        ids, offsets = list_values(table["tokens"])
        bounds = itertools.pairwise(offsets.tolist())
        for doc_id, url, (start, stop) in zip(
            table["doc_id"].to_pylist(), table["url"].to_pylist(), bounds, strict=True
        ):
            yield doc_id, url, ids[start:stop]

    def table(self, index: int, columns: Sequence[str]) -> pa.Table:
        """Some columns of a row group, `tokens` among them. Raises ValueError for damage."""
        try:
            table = self._parquet.read_row_group(index, columns=list(columns))
            table.select(columns)
        except (pa.ArrowException, OSError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"{self.name}: row group {index} cannot be read: {reason}") from error
        dtype = table.schema.field("tokens").type.value_type
        if dtype != self.header.dtype:
            raise ValueError(f"{self.name}: ids are {dtype}, the header says {self.header.dtype}")
        return table


def list_values(tokens: pa.ChunkedArray) -> tuple[IdArray, npt.NDArray[np.int64]]:
    """All ids of a column of tokens, and the offsets of the documents in them.

    Shapes (tokens,) and (documents + 1,); the ids are a read-only view.
    """
    lists = tokens.combine_chunks()
    if not len(lists):
        return lists.values.to_numpy()[:0], np.zeros(1, np.int64)
    offsets = lists.offsets.to_numpy().astype(np.int64)
    return lists.flatten().to_numpy(), offsets - offsets[0]


def find_shards(path: str) -> tuple[Any, list[str]]:
    """The filesystem of an fsspec path, and the paths of the shards there.

    That is the file itself, or all `*.parquet` below the directory, sorted by path, except for hidden ones
    (a name or directory that starts with `.` or `_`). Raises FileNotFoundError if there are none.
    """
    fs, sizes, _ = find_shard_sizes(path)
    return fs, list(sizes)


def find_shard_sizes(path: str) -> tuple[Any, dict[str, int], str]:
    """As `find_shards`: the filesystem, the size in bytes of each shard by path, and `path` as it has it."""
    fs, root = fsspec.core.url_to_fs(str(path))
    if fs.isfile(root):
        return fs, {root: fs.size(root)}, root
    found = {
        file: info["size"]
        for file, info in sorted(fs.find(root, detail=True).items())
        if file.endswith(_SUFFIX)
        and not any(part.startswith((".", "_")) for part in posixpath.relpath(file, root).split("/"))
    }
    if not found:
        raise FileNotFoundError(f"{path}: no shards (*{_SUFFIX}) here")
    return fs, found, root


def open_shards(path: str) -> Iterator[Shard]:
    """The shards at an fsspec path (see `find_shards`), each open until the next one is asked for.

    Raises FileNotFoundError if there are none; ValueError for a file that is not a shard, is damaged, or has
    ids of another tokenizer than the first.
    """
    yield from open_each(*find_shards(path))


def open_each(fs: Any, names: Sequence[str]) -> Iterator[Shard]:
    """As `open_shards`, for paths on a filesystem of fsspec."""
    first: Header | None = None
    for name in names:
        with fs.open(name, "rb") as file:
            shard = Shard(file, name)
            first = first or shard.header
            if shard.header.tokens_as != first.tokens_as:
                raise ValueError(
                    f"{name}: ids of {shard.header.tokenizer} ({shard.header.vocabulary}), "
                    f"in {names[0]} of {first.tokenizer} ({first.vocabulary})"
                )
            yield shard


def read_documents(path: str) -> Iterator[tuple[str, str, IdArray]]:
    """(doc_id, url, ids) of every document in the shards at an fsspec path (see `find_shards`), in order.

    The ids have the tokenizer's dtype, shape (tokens,), and end with the end token. Memory holds one row
    group. Raises as `open_shards`.
    """
    for shard in open_shards(path):
        for index in range(shard.n_row_groups):
            yield from shard.row_group(index)


def read_texts(path: str) -> Iterator[tuple[str, str, str]]:
    """(doc_id, url, text) of every document, as `read_documents`. The end token is not part of the text.

    Raises as `open_shards` and `load_for`.
    """
    for shard in open_shards(path):
        tokenizer = load_for(shard.header, shard.name)
        for index in range(shard.n_row_groups):
            for doc_id, url, ids in shard.row_group(index):
                yield doc_id, url, tokenizer.decode(ids[:-1])


def load_for(token_format: TokenFormat, name: str) -> Tokenizer:
    """The tokenizer of a file's ids. name: of the file, for messages.

    Raises ValueError if the tokenizer of that name has another vocabulary here, and as
    `shards.tokenizer.load`.
    """
    tokenizer = load(token_format.tokenizer)
    if tokenizer.checksum != token_format.vocabulary:
        raise ValueError(
            f"{name}: ids of a vocabulary {token_format.vocabulary}, "
            f"{tokenizer.name} here has {tokenizer.checksum}"
        )
    return tokenizer
