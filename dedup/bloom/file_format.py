"""The file of a Bloom filter: a header in JSON that says what it holds, and its bits, ready to be mapped.

magic             8 bytes, `BLOOM64\\n`
header length     uint32, little-endian
header            JSON: version, n_blocks, blocks_per_item, about
zeros             up to a multiple of 4096 bytes
words             n_blocks * 8 uint64, little-endian
"""

import json
import struct
from collections.abc import Mapping
from typing import IO, Any

import fsspec
import fsspec.core
import numpy as np
from fsspec.implementations.local import LocalFileSystem
from numpy.typing import NDArray

from dedup.bloom.errors import BloomFilterError
from dedup.bloom.sizing import BLOCK

__all__ = ["VERSION", "read", "write"]

MAGIC = b"BLOOM64\n"
VERSION = 3  # goes up when the place of any bit changes
_ALIGNMENT = 4096  # bytes: a memory map begins at a page
_MAX_HEADER = 1 << 20  # bytes
_CHUNK = 1 << 21  # words


def write(url: str, parameters: Mapping[str, Any], words: NDArray[np.uint64]) -> None:
    """Writes a filter to an fsspec path; equal filters give equal bytes."""
    header = json.dumps({"version": VERSION, **parameters}, sort_keys=True).encode()
    start = MAGIC + struct.pack("<I", len(header)) + header
    with fsspec.open(url, "wb") as file:
        file.write(start + bytes(-len(start) % _ALIGNMENT))
        for chunk in range(0, len(words), _CHUNK):
            file.write(words[chunk : chunk + _CHUNK].astype("<u8", copy=False).tobytes())


def read(url: str) -> tuple[dict[str, Any], NDArray[np.uint64]]:
    """The parameters of a filter, and its words: read-only, of a local file mapped to memory.

    Raises OSError if there is no file, BloomFilterError if it is not a whole filter of this version.
    """
    with fsspec.open(url, "rb") as file:
        parameters, header_end = _header(url, file)
        start = -(-header_end // _ALIGNMENT) * _ALIGNMENT
        size = parameters["n_blocks"] * BLOCK // 8
        fs, path = fsspec.core.url_to_fs(url)
        if (found := fs.size(path)) != start + size:
            raise BloomFilterError(f"{url}: {found} bytes, expected {start + size}: not whole")
        words: NDArray[np.uint64]
        if isinstance(fs, LocalFileSystem):
            words = np.memmap(path, "<u8", "r", offset=start, shape=(size // 8,))
        else:
            file.seek(start)
            words = np.frombuffer(file.read(size), "<u8")
    return parameters, words.astype(np.uint64, copy=False)


def _header(url: str, file: IO[bytes]) -> tuple[dict[str, Any], int]:
    """The parameters, and where the header ends."""
    prefix = file.read(len(MAGIC) + 4)
    if prefix[: len(MAGIC)] != MAGIC or len(prefix) < len(MAGIC) + 4:
        raise BloomFilterError(f"{url}: not a Bloom filter of this program")
    (length,) = struct.unpack("<I", prefix[len(MAGIC) :])
    damaged = BloomFilterError(f"{url}: the header of the Bloom filter is damaged")
    if length > _MAX_HEADER:
        raise damaged
    try:
        header = json.loads(file.read(length))
        version = header.pop("version")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise damaged from None
    if version != VERSION:
        raise BloomFilterError(f"{url}: a Bloom filter of version {version}, expected {VERSION}")
    numbers = [header.get(name) for name in ("n_blocks", "blocks_per_item")]
    if not all(type(n) is int and n > 0 for n in numbers) or not isinstance(header.get("about"), dict):
        raise damaged
    return header, len(prefix) + length
