"""Arctic Shift's `.zst_blocks` (months up to 2024-03): records in blocks that are compressed one by one.

A file is a series of blocks: the compressed size as an unsigned 32-bit number, and that many bytes of zstd.
Decompressed, a block has the number of its rows, the offset and size of each, and the rows. All numbers are
unsigned, of 32 bits, little-endian; offsets count from the end of that table.
Source: https://github.com/ArthurHeitmann/zst_blocks_format
"""

import struct
from collections import Counter
from collections.abc import Iterator
from typing import Any

import zstandard

from pipeline.submissions.stream import MAX_LINE, WINDOW, ZSTD

__all__ = ["MAX_BLOCK", "is_zst_blocks", "rows"]

MAX_BLOCK = (
    256 << 20
)  # bytes of a block, compressed and decompressed; 256 submissions, the usual block, have about 1 MB
_NUMBER = struct.Struct("<I")
_PLACE = struct.Struct("<II")  # of a row: offset, size
_DAMAGE = (zstandard.ZstdError, struct.error, ValueError, OSError, EOFError)


def is_zst_blocks(head: bytes) -> bool:
    """Whether a file with these first eight bytes has blocks: a size, then the magic number of zstd."""
    return head[_NUMBER.size :].startswith(ZSTD)


def rows(file: Any, counts: Counter[str]) -> Iterator[bytes | None]:
    """The rows of an open file, as `stream.lines` gives lines; None for one longer than `stream.MAX_LINE`.

    Where the file is cut off or corrupt, counts one `truncated` and stops: the damaged block is lost with
    what follows. Holds one block in memory, compressed and decompressed.
    """
    try:
        while head := file.read(_NUMBER.size):
            block = _decompress(file, *_NUMBER.unpack(head))
            (count,) = _NUMBER.unpack_from(block)
            start = _NUMBER.size + count * _PLACE.size
            if start > len(block):
                raise ValueError("a table of rows that is longer than its block")
            for offset, size in _PLACE.iter_unpack(memoryview(block)[_NUMBER.size : start]):
                begin = start + offset
                if begin + size > len(block):
                    raise ValueError("a row that ends after its block")
                yield block[begin : begin + size].strip(b"\0\r\n") if size <= MAX_LINE else None
    except _DAMAGE:
        counts["truncated"] += 1


def _decompress(file: Any, size: int) -> bytes:
    """The next block. Raises ValueError if it is cut off or too large, ZstdError if it is corrupt."""
    data = file.read(size) if size <= MAX_BLOCK else b""
    if len(data) < size:
        raise ValueError("a block that is cut off, or too large")
    whole = zstandard.frame_content_size(data)  # -1: the frame does not say
    if whole > MAX_BLOCK:
        raise ValueError("a block that is too large")
    decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW)
    return decompressor.decompress(data, max_output_size=MAX_BLOCK, allow_extra_data=False)
