"""An index of the row groups of shards: how many documents and tokens each holds, without reading them.

The numbers come from the manifests, or from the files' footers where a directory has no manifest.
"""

import hashlib
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from shards.manifest import NAME, Header, Manifest, RowGroup, TokenFormat, open_parquet, row_groups
from shards.reader import find_shard_sizes
from shards.stream.sampling import Ints

__all__ = ["RowGroupIndex"]

_THREADS = 16  # footers at a time


class _File(NamedTuple):
    path: str
    row_groups: Sequence[RowGroup]
    format: TokenFormat
    source: str  # the file that says so: manifest or shard


@dataclass(frozen=True)
class RowGroupIndex:
    """The row groups of some shards, in the order of the files. Arrays are int64, shape (row groups,).

    fs, files: a filesystem of fsspec, and the paths of the shards on it.
    format: tokenizer, vocabulary, dtype and end token of the ids.
    file, index_in_file: which file each row group is in, and its number there.
    documents, tokens: how many each row group holds.
    fingerprint: 32 hexadecimal digits that depend on what a reader would see, but not on where the files are.
    """

    fs: Any
    files: Sequence[str]
    format: TokenFormat
    file: Ints
    index_in_file: Ints
    documents: Ints
    tokens: Ints
    fingerprint: str

    @classmethod
    def of(cls, paths: str | Iterable[str]) -> "RowGroupIndex":
        """Indexes the shards at an fsspec path (see `shards.reader.find_shards`), or at several.

        Raises FileNotFoundError if there are none, or a file of a manifest is missing; ValueError if a file
        is not a shard, differs from its manifest or is not in it, or has ids of another tokenizer than the
        first, and if the paths overlap or are on different filesystems.
        """
        located = [find_shard_sizes(path) for path in ([paths] if isinstance(paths, str) else paths)]
        fs = located[0][0]
        files: list[_File] = []
        for other, sizes, root in located:
            if type(other) is not type(fs):
                raise ValueError(f"{root}: on another filesystem than the first path")
            files += _of_path(other, sizes, whole=root not in sizes)
        if len({file.path for file in files}) < len(files):
            raise ValueError("the paths of the shards overlap: some shard would be read twice")
        first = files[0]
        for file in files:
            if file.format != first.format:
                raise ValueError(
                    f"{file.source}: ids of {file.format.tokenizer} ({file.format.vocabulary}), "
                    f"in {first.source} of {first.format.tokenizer} ({first.format.vocabulary})"
                )
        counts = np.array([group for file in files for group in file.row_groups], np.int64).reshape(-1, 2)
        lengths = [len(file.row_groups) for file in files]
        return cls(
            fs=fs,
            files=[file.path for file in files],
            format=first.format,
            file=np.repeat(np.arange(len(files)), lengths),
            index_in_file=np.concatenate([np.arange(length) for length in lengths]),
            documents=counts[:, 0],
            tokens=counts[:, 1],
            fingerprint=_fingerprint(files),
        )


def _of_path(fs: Any, sizes: Mapping[str, int], whole: bool) -> list[_File]:
    """The files found below a path, in their order."""
    by_directory: dict[str, dict[str, int]] = {}
    for path, size in sizes.items():
        by_directory.setdefault(posixpath.dirname(path), {})[posixpath.basename(path)] = size
    with ThreadPoolExecutor(_THREADS) as pool:
        manifests = dict(zip(by_directory, pool.map(lambda d: _manifest(fs, d), by_directory), strict=True))
        described: dict[str, _File] = {}
        unknown: list[str] = []
        for directory, names in by_directory.items():
            manifest = manifests[directory]
            if manifest is None:
                unknown += [posixpath.join(directory, name) for name in names]
            else:
                source = posixpath.join(directory, NAME)
                _compare(manifest, names, source, whole=whole)
                for file in manifest.files:
                    path = posixpath.join(directory, file.name)
                    described[path] = _File(path, file.row_groups, manifest.tokens_as, source)
        for item in pool.map(lambda path: _footer(fs, path), unknown):
            described[item.path] = item
    return [described[path] for path in sizes]


def _manifest(fs: Any, directory: str) -> Manifest | None:
    path = posixpath.join(directory, NAME)
    try:
        return Manifest.loads(fs.cat_file(path), path)
    except FileNotFoundError:
        return None


def _compare(manifest: Manifest, sizes: Mapping[str, int], source: str, whole: bool) -> None:
    """Raises unless the files found are those of the manifest. whole: False for a single file."""
    listed = {file.name: file.n_bytes for file in manifest.files}
    if whole and (missing := sorted(listed.keys() - sizes.keys())):
        raise FileNotFoundError(f"{source}: {missing[0]} is in the manifest, but not there")
    for name, size in sizes.items():
        if name not in listed:
            raise ValueError(f"{source}: {name} is there, but not in the manifest")
        if size != listed[name]:
            raise ValueError(f"{source}: {name} has {size} bytes, the manifest says {listed[name]}")


def _footer(fs: Any, path: str) -> _File:
    with fs.open(path, "rb") as file:
        metadata = open_parquet(file, path).metadata
    return _File(path, row_groups(metadata), Header.of(metadata, path).tokens_as, path)


def _fingerprint(files: Sequence[_File]) -> str:
    digest = hashlib.blake2b(files[0].format.vocabulary.encode(), digest_size=16)
    for file in files:
        digest.update(f"\n{posixpath.basename(file.path)} {[tuple(g) for g in file.row_groups]}".encode())
    return digest.hexdigest()
