"""An exact index of the n-grams of benchmarks: which of them documents have, and where.

As in the GPT-2 paper (section 4), a test set's overlap is the share of its n-grams that are in the training
set: of all its n-grams (occurrences), or of its distinct ones. `BenchmarkIndex.overlaps` computes it from
the n-grams that were seen. They are found by scanning documents, which also tells where they are, or with a
Bloom filter of the training set (`filter.contains(index.hashes)`), which needs no document.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self, TypeAlias

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dedup.files import FileError
from dedup.hashes import Hashes
from dedup.ngrams.benchmarks import Benchmark
from dedup.ngrams.hashing import HashedNGrams, NGramHasher
from dedup.ngrams.lookup import Lookup, distinct, group_positions
from dedup.ngrams.results import BenchmarkOverlap, ScanResult, Share

__all__ = ["EXAMPLES", "BenchmarkIndex", "Entry"]

Integers: TypeAlias = NDArray[np.int64]

EXAMPLES = pa.schema(  # a stored index has one more column, `grams`: hashes in the order of the text
    [
        ("benchmark", pa.int32()),  # index into the benchmarks listed in the metadata
        ("id", pa.string()),
        ("text", pa.large_string()),
        ("short", pa.bool_()),  # fewer than n units: one n-gram of the units it has
    ]
)
_METADATA = b"overlap"
_ROW_GROUP = 1 << 12  # examples
_CHUNK = 1 << 20  # n-grams at a time: bounds the working memory


@dataclass(frozen=True)
class Entry:
    """A `Benchmark` without its examples."""

    name: str
    source: str
    stream: bool
    fields: list[str]


class BenchmarkIndex:
    """The n-grams of benchmarks, with their positions. Takes about 23 bytes for each, beside the texts.

    ngrams: what an n-gram is. entries: the benchmarks. examples: table of schema EXAMPLES, ordered by
    benchmark. offsets: shape (examples + 1,), int64. ids: shape (n-grams,), int32, indices into `hashes`: the
    n-grams of example i are hashes[ids[offsets[i] : offsets[i + 1]]]. lookup: the set of distinct n-grams.
    """

    def __init__(
        self,
        ngrams: NGramHasher,
        entries: Sequence[Entry],
        examples: pa.Table,
        counts: Integers,
        values: Hashes,
    ) -> None:
        """Prefer `build` and `load`.

        values: hashed n-grams of all examples, one after the other. counts: how many each example has.
        """
        self.ngrams = ngrams
        self.entries = list(entries)
        self.examples = examples.combine_chunks()
        self.offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
        self.lookup = Lookup(distinct(values))
        self.ids: NDArray[np.int32] = np.empty(len(values), np.int32)
        for start in range(0, len(values), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            self.ids[chunk] = self.lookup.find(values[chunk])[1]
        self._benchmark: NDArray[np.int64] = self.examples["benchmark"].to_numpy().astype(np.int64)

    @property
    def hashes(self) -> Hashes:
        """The distinct n-grams: shape (distinct n-grams,), uint64, sorted."""
        return self.lookup.hashes

    @cached_property
    def positions(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """`first` and `positions`: `ids` is g at positions[first[g] : first[g + 1]], rising."""
        return group_positions(self.ids, len(self.hashes))

    @cached_property
    def _sets(self) -> tuple[NDArray[Any], list[tuple[int, ...]]]:
        """For each distinct n-gram the number of a set of benchmarks, and the sets."""
        first, positions = self.positions
        begins = np.searchsorted(self._benchmark, np.arange(len(self.entries)))  # of each one's examples
        begins = self.offsets[begins]

        def benchmark(position: NDArray[np.int32]) -> NDArray[np.int32]:
            return (np.searchsorted(begins, position, side="right") - 1).astype(np.int32)

        result = np.empty(len(self.hashes), np.int32)
        sets: dict[tuple[int, ...], int] = {(number,): number for number in range(len(self.entries))}
        for start in range(0, len(result), _CHUNK):
            chunk = result[start : start + _CHUNK]
            ends = first[start : start + len(chunk) + 1]
            chunk[:] = benchmark(positions[ends[:-1]])
            for gram in np.flatnonzero(chunk != benchmark(positions[ends[1:] - 1])).tolist():
                mine = tuple(np.unique(benchmark(positions[ends[gram] : ends[gram + 1]])).tolist())
                chunk[gram] = sets.setdefault(mine, len(sets))
        return result.astype(np.min_scalar_type(len(sets))), list(sets)

    @classmethod
    def build(cls, benchmarks: Sequence[Benchmark], ngrams: NGramHasher) -> Self:
        """The index of benchmarks.

        Raises ValueError if two have the same name, FileError for one without a single whole n-gram.
        """
        names = [benchmark.name for benchmark in benchmarks]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two benchmarks are named {twice[0]!r}: give one of them another name")
        tables, found = [], []
        for number, benchmark in enumerate(benchmarks):
            grams = ngrams.hash(benchmark.texts)
            if not np.any((grams.counts > 0) & ~grams.short):
                raise FileError(
                    f"{benchmark.source}: every text is shorter than {ngrams.n} {ngrams.unit}, "
                    "so that there is nothing to compare"
                )
            columns = [
                pa.array(np.full(len(benchmark.texts), number, np.int32)),
                pa.array(benchmark.ids, pa.string()),
                pa.array(benchmark.texts, pa.large_string()),
                pa.array(grams.short),
            ]
            tables.append(pa.table(columns, schema=EXAMPLES))
            found.append(grams)
        entries = [Entry(b.name, b.source, b.stream, list(b.fields)) for b in benchmarks]
        return cls(
            ngrams,
            entries,
            pa.concat_tables([EXAMPLES.empty_table(), *tables]),
            np.concatenate([np.zeros(0, np.int64), *(grams.counts for grams in found)]),
            np.concatenate([np.zeros(0, np.uint64), *(grams.hashes for grams in found)]),
        )

    def save(self, url: str) -> None:
        """Writes the index to an fsspec path, as a Parquet file."""
        header = {"ngrams": self.ngrams.identity, "benchmarks": [asdict(entry) for entry in self.entries]}
        metadata = {_METADATA: json.dumps(header, sort_keys=True)}
        with fsspec.open(url, "wb") as file:
            grams = pa.LargeListArray.from_arrays(self.offsets, self.hashes[self.ids])
            table = self.examples.append_column("grams", grams).replace_schema_metadata(metadata)
            pq.write_table(table, file, compression="zstd", row_group_size=_ROW_GROUP)

    @classmethod
    def load(cls, url: str, ngrams: NGramHasher, *, texts: bool = True) -> Self:
        """Reads an index. Raises OSError if there is none, ValueError if it is of other n-grams.

        texts: if False, `examples` has no column `text`; a scan does not need it.
        """
        columns = [name for name in EXAMPLES.names if texts or name != "text"]
        with fsspec.open(url, "rb") as file:
            try:
                parquet = pq.ParquetFile(file)
                header = json.loads((parquet.schema_arrow.metadata or {})[_METADATA])
            except (pa.ArrowInvalid, KeyError) as error:
                raise ValueError(f"{url}: not an index of benchmarks") from error
            if header["ngrams"] != ngrams.identity:
                raise ValueError(f"{url}: an index of {header['ngrams']}, expected {ngrams.identity}")
            entries = [Entry(**entry) for entry in header["benchmarks"]]
            tables, found, counts = [EXAMPLES.empty_table().select(columns)], [], []
            for batch in parquet.iter_batches(_ROW_GROUP, columns=[*columns, "grams"]):
                tables.append(pa.table(batch.select(columns)))
                counts.append(np.asarray(batch["grams"].value_lengths()))
                found.append(np.array(batch["grams"].flatten()))
        values = np.concatenate([np.zeros(0, np.uint64), *found])
        found.clear()
        examples = pa.concat_tables(tables)
        pa.default_memory_pool().release_unused()
        return cls(ngrams, entries, examples, np.concatenate([np.zeros(0, np.int64), *counts]), values)

    def scan(self, documents: HashedNGrams, training: NDArray[np.bool_] | None = None) -> ScanResult:
        """Looks up the n-grams of documents.

        documents: hashed by `self.ngrams`. training: shape (documents,), bool: the documents whose n-grams
        count as seen, by default all.
        """
        hit, gram = self.lookup.find(documents.hashes)
        n_documents = len(documents.offsets) - 1
        document = np.searchsorted(documents.offsets, hit, side="right") - 1
        begins = np.flatnonzero((np.diff(hit, prepend=-2) != 1) | (np.diff(document, prepend=-1) != 0))
        longest = np.zeros(n_documents, np.int64)
        np.maximum.at(longest, document[begins], np.diff(begins, append=len(hit)))
        seen = np.zeros(len(self.hashes), np.bool_)
        seen[gram if training is None else gram[training[document]]] = True
        names: list[set[str]] = [set() for _ in range(n_documents)]
        if len(hit):
            set_of_gram, sets = self._sets
            for pair in np.unique(document * len(sets) + set_of_gram[gram]).tolist():
                index, number = divmod(pair, len(sets))
                names[index].update(self.entries[benchmark].name for benchmark in sets[number])
        hits = np.bincount(document, minlength=n_documents).astype(np.int64)
        return ScanResult(documents.counts, hits, longest, [sorted(item) for item in names], seen)

    def example_hits(self, seen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """How many n-grams of each example were seen: shape (examples,), int64. seen: as in `ScanResult`."""
        self._check(seen)
        counts = np.concatenate([np.zeros(1, np.int64), np.cumsum(seen[self.ids], dtype=np.int64)])
        return np.asarray(counts[self.offsets[1:]] - counts[self.offsets[:-1]])

    def overlaps(self, seen: NDArray[np.bool_]) -> list[BenchmarkOverlap]:
        """The overlap of each benchmark, in the order of `entries`. seen: as in `ScanResult`."""
        hits = self.example_hits(seen)
        short = self.examples["short"].to_numpy()
        result = []
        for number, entry in enumerate(self.entries):
            first, last = np.searchsorted(self._benchmark, [number, number + 1])
            grams = self.ids[self.offsets[first] : self.offsets[last]]
            distinct = np.unique(grams)
            mine, is_short = hits[first:last], short[first:last]
            result.append(
                BenchmarkOverlap(
                    entry.name,
                    Share(int(mine.sum()), len(grams)),
                    Share(int(seen[distinct].sum()), len(distinct)),
                    Share(int(np.count_nonzero(mine)), len(mine)),
                    Share(int(mine[is_short].sum()), int(is_short.sum())),
                )
            )
        return result

    def runs(self, example: int, seen: NDArray[np.bool_]) -> list[tuple[int, int]]:
        """Runs of n-grams of an example that were seen, longest first: (position of the first, number)."""
        self._check(seen)
        found = np.flatnonzero(seen[self.ids[self.offsets[example] : self.offsets[example + 1]]])
        begins = np.flatnonzero(np.diff(found, prepend=-2) != 1)
        lengths = np.diff(begins, append=len(found))
        order = np.argsort(-lengths, kind="stable")
        return list(zip(found[begins[order]].tolist(), lengths[order].tolist(), strict=True))

    def _check(self, seen: NDArray[np.bool_]) -> None:
        if seen.dtype != np.bool_ or seen.shape != self.hashes.shape:
            raise ValueError(
                f"seen must be of shape {self.hashes.shape}, dtype bool, found {seen.shape}, {seen.dtype}"
            )
