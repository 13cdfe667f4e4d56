"""Reading single row groups, from several threads."""

from functools import lru_cache

import fsspec.implementations.local
import pyarrow as pa
import pyarrow.parquet as pq

from shards.manifest import Header, RowGroup, open_parquet, row_groups
from shards.stream.row_groups import RowGroupIndex

__all__ = ["RowGroupReader"]

_FOOTERS = 64  # kept in memory


class RowGroupReader:
    """Reads row groups of an index; safe to call from several threads. Keeps footers, but no open files.

    columns: the columns to read.
    """

    def __init__(self, index: RowGroupIndex, columns: list[str]) -> None:
        self._index = index
        self._columns = columns
        self._footer = lru_cache(_FOOTERS)(self._read_footer)

    def read(self, group: int) -> pa.Table:
        """The columns of a row group, by its number in the index.

        Raises FileNotFoundError; ValueError if the file is damaged, or was changed since it was indexed.
        """
        number, index = int(self._index.file[group]), int(self._index.index_in_file[group])
        name = self._index.files[number]
        metadata = self._footer(number)
        counts = row_groups(metadata)[index : index + 1]
        if counts != (RowGroup(int(self._index.documents[group]), int(self._index.tokens[group])),):
            raise ValueError(f"{name}: row group {index} is not what the manifest says; the file was changed")
        try:
            with self._open(name) as file:
                parquet = pq.ParquetFile(
                    file, metadata=metadata, pre_buffer=True, page_checksum_verification=True
                )
                return parquet.read_row_group(index, columns=self._columns, use_threads=False)
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"{name}: row group {index} cannot be read: {reason}") from error

    def _read_footer(self, number: int) -> pq.FileMetaData:
        name = self._index.files[number]
        with self._open(name) as file:
            metadata = open_parquet(file, name).metadata
        header = Header.of(metadata, name)
        if header.tokens_as != self._index.format:
            raise ValueError(
                f"{name}: ids of {header.tokenizer} ({header.vocabulary}), "
                f"expected {self._index.format.tokenizer} ({self._index.format.vocabulary})"
            )
        return metadata

    def _open(self, name: str) -> pa.NativeFile:
        if isinstance(self._index.fs, fsspec.implementations.local.LocalFileSystem):
            return pa.OSFile(name)
        # pyarrow asks for the byte ranges that it needs; fsspec's own read-ahead would fetch megabytes more
        return pa.PythonFile(self._index.fs.open(name, "rb", cache_type="none"), mode="r")
