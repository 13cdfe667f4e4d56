"""Tables of a batch: partitions of Parquet, each committed with a manifest, sealed when all are there.

    <table>/<batch>/part-00000.parquet       a partition
    <table>/<batch>/_manifests/00000.json    its manifest: the partition exists if this is there and valid
    <table>/<batch>/_manifests/table.json    the seal: the table is complete and has these partitions

A manifest is written after the files that it names. Resume trusts one only if it is valid, has the expected
key, and its files are there with the recorded sizes; never the mere existence of a file.
"""

import hashlib
import json
import platform
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.corpus.files import Corpus
from pipeline.errors import UserError

__all__ = ["Counts", "Manifest", "Seal", "Table", "add_counts"]

DIRECTORIES = {
    "pages": "pages/{batch}/index",
    "fetched": "pages/{batch}/fetched",
}  # where a table does not lie in <table>/<batch>
Counts = dict[str, dict[str, int]]  # stage -> reason -> rows: the outcomes that make the funnel


@dataclass(frozen=True)
class Manifest:
    """What a committed partition was made from, and what is in it."""

    key: str  # fingerprint of the stage, its settings and the inputs' checksums
    rows: int
    row_groups: int
    checksum: str  # BLAKE2b-128 of the Parquet file: the identity that the next stage builds on
    counts: Counts
    files: dict[str, int]  # path in the corpus -> bytes
    facts: dict[str, Any] = field(default_factory=dict)  # JSON values that the driver reads
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Seal:
    """A complete table: its partitions in order, and their counts added up."""

    key: str
    parts: list[Manifest]
    counts: Counts

    @property
    def rows(self) -> int:
        """Rows of all partitions."""
        return sum(part.rows for part in self.parts)


@dataclass(frozen=True)
class Table:
    """One table of one batch, partition by partition. Cheap to pickle."""

    corpus: Corpus
    name: str
    batch: str

    @property
    def directory(self) -> str:
        """The directory's name in the corpus."""
        return DIRECTORIES.get(self.name, f"{self.name}/{{batch}}").format(batch=self.batch)

    def part(self, number: int) -> str:
        """The name of a partition's Parquet file in the corpus."""
        return f"{self.directory}/part-{number:05d}.parquet"

    def read(
        self, number: int, columns: Sequence[str] | None = None, row_group: int | None = None
    ) -> pa.Table:
        """A partition, or one row group of it."""
        with self.corpus.fs.open(self.corpus.path(self.part(number)), "rb") as file:
            parquet = pq.ParquetFile(file)
            selected = list(columns) if columns is not None else None
            if row_group is None:
                return parquet.read(columns=selected)
            return parquet.read_row_group(row_group, columns=selected)

    def commit(
        self,
        number: int,
        rows: pa.Table | Path,
        *,
        key: str,
        counts: Counts,
        files: Mapping[str, Path] = {},
        kept: Mapping[str, int] = {},
        facts: Mapping[str, Any] = {},
    ) -> Manifest:
        """Stores a partition: further files (name in the corpus -> local file), the rows, the manifest.

        rows: a table, or a local Parquet file that holds it. Local files are moved away. kept: files that are
        in the corpus already and stay part of the partition, with their sizes in bytes.
        """
        sizes = {name: self.corpus.put(local, name) for name, local in sorted(files.items())} | dict(kept)
        with self.corpus.writing(self.part(number)) as path:
            if isinstance(rows, Path):
                shutil.move(rows, path)
            else:
                pq.write_table(rows, path, compression="zstd")
            metadata = pq.read_metadata(path)
            with path.open("rb") as file:
                checksum = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
            sizes[self.part(number)] = path.stat().st_size
        rows_and_groups = (metadata.num_rows, metadata.num_row_groups)
        manifest = Manifest(key, *rows_and_groups, checksum, counts, sizes, dict(facts), _versions())
        self.corpus.write_json(f"{self.directory}/_manifests/{number:05d}.json", asdict(manifest))
        return manifest

    def stream(self, number: int) -> Iterator[pa.Table]:
        """The row groups of a partition one by one."""
        with self.corpus.fs.open(self.corpus.path(self.part(number)), "rb") as file:
            parquet = pq.ParquetFile(file)
            for row_group in range(parquet.num_row_groups):
                yield parquet.read_row_group(row_group)

    def manifest(self, number: int) -> Manifest | None:
        """The manifest of a partition; None if it is not valid, or its files are not there in full."""
        try:
            value = self.corpus.read_json(f"{self.directory}/_manifests/{number:05d}.json")
            manifest = Manifest(**value) if value else None
        except (json.JSONDecodeError, TypeError):
            return None
        return manifest if manifest and self._whole(manifest) else None

    def committed(self, keys: Sequence[str]) -> dict[int, Manifest]:
        """The manifests of the partitions committed with `keys[number]` whose files are there."""
        present = set(self.corpus.names(f"{self.directory}/_manifests"))

        def check(number: int) -> Manifest | None:
            if f"{number:05d}.json" not in present:
                return None
            manifest = self.manifest(number)
            return manifest if manifest and manifest.key == keys[number] else None

        with ThreadPoolExecutor(16) as pool:
            found = dict(enumerate(pool.map(check, range(len(keys)))))
        return {number: manifest for number, manifest in found.items() if manifest is not None}

    def _whole(self, manifest: Manifest) -> bool:
        try:
            return all(
                self.corpus.fs.size(self.corpus.path(name)) == size for name, size in manifest.files.items()
            )
        except FileNotFoundError:
            return False

    def seal(self, key: str, parts: Sequence[Manifest]) -> Seal:
        """Marks the table as complete, and removes the files of earlier attempts."""
        files = {PurePosixPath(name) for part in parts for name in part.files}
        wanted = files.union(*(file.parents for file in files))
        for directory in {PurePosixPath(self.directory)} | {file.parent for file in files}:
            for name in self.corpus.names(str(directory)):
                if directory / name not in wanted and name != "_manifests":
                    self.corpus.remove(f"{directory}/{name}")
        for name in self.corpus.names(f"{self.directory}/_manifests"):
            if name != "table.json" and not (name[:5].isdigit() and int(name[:5]) < len(parts)):
                self.corpus.remove(f"{self.directory}/_manifests/{name}")
        seal = Seal(key, list(parts), add_counts(part.counts for part in parts))
        self.corpus.write_json(f"{self.directory}/_manifests/table.json", asdict(seal))
        return seal

    def unseal(self) -> None:
        """Takes the seal away: partitions are about to be made again."""
        self.corpus.remove(f"{self.directory}/_manifests/table.json")

    def complete(self) -> Seal:
        """The seal. Raises UserError if the table is not complete."""
        seal = self.sealed()
        if seal is None:
            raise UserError(f"{self.corpus.url}: table '{self.name}' of batch '{self.batch}' is not complete")
        return seal

    def sealed(self, key: str | None = None) -> Seal | None:
        """The seal, if the table is complete (and was made with `key`, if one is given)."""
        try:
            value = self.corpus.read_json(f"{self.directory}/_manifests/table.json")
            seal = value and Seal(
                value["key"], [Manifest(**part) for part in value["parts"]], value["counts"]
            )
        except (json.JSONDecodeError, TypeError, KeyError):
            return None
        return seal if seal and key in (None, seal.key) else None


def add_counts(counts: Iterable[Counts]) -> Counts:
    """Sums counts by stage and reason, in sorted order."""
    total: Counts = {}
    for item in counts:
        for stage, reasons in item.items():
            into = total.setdefault(stage, {})
            for reason, count in reasons.items():
                into[reason] = into.get(reason, 0) + count
    return {stage: dict(sorted(reasons.items())) for stage, reasons in total.items()}


@cache
def _versions() -> dict[str, str]:
    names = ("webtext-pipeline", "pyarrow", "trafilatura", "langdetect", "datasketch", "tiktoken")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
