"""The metadata of shards: the header inside each file, and the manifest beside the files of a split.

Both name the tokenizer, the checksum of its vocabulary (`shards.tokenizer.Tokenizer.checksum`), the dtype of
the ids and the id that ends a document, so that ids are never decoded with another vocabulary than they were
encoded with. The header is JSON under the key `shards` of the Parquet file's key-value metadata. The manifest
is a JSON file.
"""

import hashlib
import posixpath
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import fsspec
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = [
    "NAME",
    "TOKENS",
    "Header",
    "Manifest",
    "RowGroup",
    "ShardFile",
    "TokenFormat",
    "describe",
    "describe_open",
    "open_parquet",
    "row_groups",
]

T = TypeVar("T", "Header", "Manifest")

_FORMAT = 1
_KEY = b"shards"
NAME = "_manifest.json"  # readers of Parquet directories ignore names that start with an underscore
TOKENS = "tokens.list.element"  # the column of the ids, as Parquet names it


class TokenFormat(msgspec.Struct, frozen=True, kw_only=True):
    """The meaning of the ids, and how they are stored."""

    tokenizer: str
    vocabulary: str  # checksum
    dtype: str  # uint16 or uint32
    end_of_text: int

    @property
    def tokens_as(self) -> "TokenFormat":
        """These four fields alone, to compare files by."""
        return TokenFormat(
            tokenizer=self.tokenizer,
            vocabulary=self.vocabulary,
            dtype=self.dtype,
            end_of_text=self.end_of_text,
        )


class Header(TokenFormat, frozen=True, kw_only=True):
    """The metadata of one shard."""

    split: str
    documents: int
    tokens: int
    format: int = _FORMAT

    def encode(self) -> dict[bytes, bytes]:
        """The header as key-value metadata of a Parquet file."""
        return {_KEY: msgspec.json.encode(self)}

    @classmethod
    def of(cls, metadata: pq.FileMetaData, name: str) -> "Header":
        """The header in a Parquet file's metadata. name: of the file, for messages.

        Raises ValueError for a file that is not a shard, has another format, or contradicts itself.
        """
        values: Mapping[bytes, bytes] = metadata.metadata or {}
        if _KEY not in values:
            raise ValueError(
                f"{name}: a Parquet file, but not a shard (no '{_KEY.decode()}' in its metadata)"
            )
        header = _decode(values[_KEY], cls, name)
        if header.documents != metadata.num_rows:
            raise ValueError(
                f"{name}: the header counts {header.documents} documents, the file has {metadata.num_rows}"
            )
        if TOKENS not in (columns := _columns(metadata)):
            raise ValueError(f"{name}: no column {TOKENS} in the shard, but {', '.join(columns)}")
        return header


class RowGroup(NamedTuple):
    """The size of a row group."""

    documents: int
    tokens: int


class ShardFile(msgspec.Struct, frozen=True, kw_only=True):
    """One shard in a manifest."""

    name: str
    documents: int
    tokens: int
    row_groups: tuple[RowGroup, ...]
    n_bytes: int
    sha256: str


class Manifest(TokenFormat, frozen=True, kw_only=True):
    """The shards of one split of one batch, in order, with their totals."""

    split: str
    batch: str
    documents: int
    tokens: int
    files: tuple[ShardFile, ...]
    format: int = _FORMAT

    @classmethod
    def of(
        cls, token_format: TokenFormat, *, split: str, batch: str, files: Iterable[ShardFile]
    ) -> "Manifest":
        """The manifest of these files, sorted by name. token_format: may be the header of any of them."""
        ordered = tuple(sorted(files, key=lambda file: file.name))
        return cls(
            **msgspec.structs.asdict(token_format.tokens_as),
            split=split,
            batch=batch,
            documents=sum(file.documents for file in ordered),
            tokens=sum(file.tokens for file in ordered),
            files=ordered,
        )

    def dumps(self) -> str:
        """The manifest as JSON; equal manifests give equal bytes."""
        return msgspec.json.format(msgspec.json.encode(self, order="sorted"), indent=1).decode() + "\n"

    @classmethod
    def loads(cls, data: str | bytes, name: str = NAME) -> "Manifest":
        """The manifest from JSON. name: of the file, for messages. Raises ValueError if it is not one."""
        manifest = _decode(data, cls, name)
        for total in ("documents", "tokens"):
            if getattr(manifest, total) != sum(getattr(file, total) for file in manifest.files):
                raise ValueError(f"{name}: '{total}' is not the sum over the files; the manifest was changed")
        return manifest

    def check(self, directory: str) -> None:
        """Reads every file of the manifest in a directory (an fsspec path) and compares it.

        Raises FileNotFoundError if a file is missing, ValueError for the first one that differs.
        """
        for expected in self.files:
            path = posixpath.join(directory, expected.name)
            self.compare(*describe(path), path)

    def compare(self, header: Header, found: ShardFile, path: str) -> None:
        """Raises ValueError unless a shard is the one in the manifest. header, found: from `describe`."""
        expected = next((file for file in self.files if file.name == found.name), None)
        if expected is None:
            raise ValueError(f"{path}: not in the manifest")
        if found != expected:
            fields = msgspec.structs.asdict(found)
            wrong = [key for key, value in msgspec.structs.asdict(expected).items() if fields[key] != value]
            raise ValueError(f"{path}: not the file of the manifest ({', '.join(wrong)} differ)")
        if (header.tokens_as, header.split) != (self.tokens_as, self.split):
            raise ValueError(
                f"{path}: {header.split}, ids of {header.tokenizer} ({header.vocabulary}), the manifest "
                f"says {self.split}, {self.tokenizer} ({self.vocabulary})"
            )


def describe(path: str) -> tuple[Header, ShardFile]:
    """The header of the shard at an fsspec path, and its entry for a manifest. Reads the whole file once.

    Raises FileNotFoundError; ValueError for a file that is not a shard.
    """
    with fsspec.open(path, "rb") as file:
        return describe_open(file, path)


def describe_open(file: Any, path: str) -> tuple[Header, ShardFile]:
    """As `describe`, for an open binary file."""
    metadata = open_parquet(file, path).metadata
    header = Header.of(metadata, path)
    file.seek(0)
    checksum = hashlib.file_digest(file, "sha256").hexdigest()
    return header, ShardFile(
        name=posixpath.basename(path),
        documents=header.documents,
        tokens=header.tokens,
        row_groups=row_groups(metadata),
        n_bytes=file.tell(),
        sha256=checksum,
    )


def row_groups(metadata: pq.FileMetaData) -> tuple[RowGroup, ...]:
    """The size of each row group of a shard, from the file's metadata alone.

    Every document has at least one token, so the column of the ids has as many values as there are tokens.
    """
    column = _columns(metadata).index(TOKENS)
    groups = (metadata.row_group(i) for i in range(metadata.num_row_groups))
    return tuple(RowGroup(group.num_rows, group.column(column).num_values) for group in groups)


def _columns(metadata: pq.FileMetaData) -> list[str]:
    return [metadata.schema.column(i).path for i in range(metadata.num_columns)]


def open_parquet(file: Any, name: str) -> pq.ParquetFile:
    """Opens a binary file as Parquet, with page checksums verified. Raises ValueError if it is not."""
    try:
        return pq.ParquetFile(file, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{name}: not a readable Parquet file: {' '.join(str(error).split())}") from error


def _decode(data: str | bytes, kind: type[T], name: str) -> T:
    try:
        value = msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{name}: not the {kind.__name__.lower()} of shards: {error}") from error
    if value.format != _FORMAT:
        raise ValueError(f"{name}: shards of format {value.format}, this version reads format {_FORMAT}")
    return value
