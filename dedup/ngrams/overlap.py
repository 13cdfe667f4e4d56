"""n-gram overlap of texts with benchmarks: an exact index of the benchmarks' n-grams, and what a scan finds.

As in section 4 of the GPT-2 paper a test set's overlap is the share of its n-grams that are in the training
set: of all of them (occurrences), or each counted once (distinct). Two ways lead to the set of n-grams seen
from which `BenchmarkIndex.shares` computes it: scanning documents, which also tells where, or asking a
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
from dedup.ngrams.benchmarks import Benchmark
from dedup.ngrams.hashing import Grams, Hashes, NGrams
from dedup.ngrams.lookup import Lookup, group
from dedup.ngrams.shares import Overlap, Scan, Share

Integers: TypeAlias = NDArray[np.int64]

EXAMPLES = pa.schema(  # in a file with one column more, `grams`: hashes, in the order of the text
    [
        ("benchmark", pa.int32()),  # index into the benchmarks of the metadata
        ("id", pa.string()),
        ("text", pa.large_string()),
        ("short", pa.bool_()),  # of fewer than n units: one n-gram of what it has
    ]
)
_METADATA = b"overlap"
_ROW_GROUP = 1 << 12  # examples
_CHUNK = 1 << 20  # n-grams at a time, where each needs more than its place in the result


@dataclass(frozen=True)
class Entry:
    """A benchmark in an index: as `dedup.ngrams.benchmarks.Benchmark`, without its examples."""

    name: str
    source: str
    stream: bool
    fields: list[str]


class BenchmarkIndex:
    """The n-grams of benchmarks, with their places. Holds about 23 bytes for each, and the texts.

    ngrams: what they are of. entries: the benchmarks. examples: table of schema EXAMPLES, by benchmark;
    the n-grams of example i are hashes[gram[offsets[i] : offsets[i + 1]]]. offsets: shape
    (examples + 1,), int64. gram: shape (n-grams,), int32. lookup: finds hashes.
    """

    def __init__(
        self, ngrams: NGrams, entries: Sequence[Entry], examples: pa.Table, counts: Integers, values: Hashes
    ) -> None:
        """Indexes the n-grams `values` of all examples, `counts` of each, one after the other."""
        self.ngrams = ngrams
        self.entries = list(entries)
        self.examples = examples.combine_chunks()
        self.offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
        self.lookup = Lookup(_distinct(values))
        self.gram: NDArray[np.int32] = np.empty(len(values), np.int32)
        for start in range(0, len(values), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            self.gram[chunk] = self.lookup.find(values[chunk])[1]
        self._benchmark: NDArray[np.int64] = self.examples["benchmark"].to_numpy().astype(np.int64)

    @property
    def hashes(self) -> Hashes:
        """The distinct n-grams: shape (distinct n-grams,), uint64, sorted."""
        return self.lookup.hashes

    @cached_property
    def places(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """`first` and `places`: places[first[g] : first[g + 1]] are where `gram` is g, rising."""
        return group(self.gram, len(self.hashes))

    @cached_property
    def _sets(self) -> tuple[NDArray[Any], list[tuple[int, ...]]]:
        """Which set of benchmarks each distinct n-gram is in, and the sets."""
        first, places = self.places
        begins = np.searchsorted(self._benchmark, np.arange(len(self.entries)))  # of each one's examples
        begins = self.offsets[begins]

        def benchmark(place: NDArray[np.int32]) -> NDArray[np.int32]:
            return (np.searchsorted(begins, place, side="right") - 1).astype(np.int32)

        result = np.empty(len(self.hashes), np.int32)
        sets: dict[tuple[int, ...], int] = {(number,): number for number in range(len(self.entries))}
        for start in range(0, len(result), _CHUNK):
            chunk = result[start : start + _CHUNK]
            ends = first[start : start + len(chunk) + 1]
            chunk[:] = benchmark(places[ends[:-1]])
            for gram in np.flatnonzero(chunk != benchmark(places[ends[1:] - 1])).tolist():
                mine = tuple(np.unique(benchmark(places[ends[gram] : ends[gram + 1]])).tolist())
                chunk[gram] = sets.setdefault(mine, len(sets))
        return result.astype(np.min_scalar_type(len(sets))), list(sets)

    @classmethod
    def build(cls, benchmarks: Sequence[Benchmark], ngrams: NGrams) -> Self:
        """Indexes benchmarks.

        Raises ValueError if two have the same name, FileError for one without a single whole n-gram.
        """
        names = [benchmark.name for benchmark in benchmarks]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two benchmarks are named {twice[0]!r}: give one of them another name")
        tables, found = [], []
        for number, benchmark in enumerate(benchmarks):
            grams = ngrams.grams(benchmark.texts)
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
        """Writes the index to an fsspec path, as Parquet."""
        header = {"ngrams": self.ngrams.identity, "benchmarks": [asdict(entry) for entry in self.entries]}
        metadata = {_METADATA: json.dumps(header, sort_keys=True)}
        with fsspec.open(url, "wb") as file:
            grams = pa.LargeListArray.from_arrays(self.offsets, self.hashes[self.gram])
            table = self.examples.append_column("grams", grams).replace_schema_metadata(metadata)
            pq.write_table(table, file, compression="zstd", row_group_size=_ROW_GROUP)

    @classmethod
    def load(cls, url: str, ngrams: NGrams, *, texts: bool = True) -> Self:
        """Reads an index. Raises OSError if there is none, ValueError if it is one of other n-grams.

        texts: False leaves them out, which a scan does not need: `examples` is without the column `text`.
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

    def scan(self, documents: Grams, training: NDArray[np.bool_] | None = None) -> Scan:
        """Looks up the n-grams of documents (made by `self.ngrams`).

        training: shape (documents,), bool: those whose n-grams count as seen; by default all.
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
        return Scan(documents.counts, hits, longest, [sorted(item) for item in names], seen)

    def example_hits(self, seen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """How many n-grams of each example were seen: shape (examples,), int64."""
        counts = np.concatenate([np.zeros(1, np.int64), np.cumsum(seen[self.gram], dtype=np.int64)])
        return np.asarray(counts[self.offsets[1:]] - counts[self.offsets[:-1]])

    def shares(self, seen: NDArray[np.bool_]) -> list[Overlap]:
        """The overlap of each benchmark, in the order of `entries`. seen: as in `Scan`."""
        hits = self.example_hits(seen)
        short = self.examples["short"].to_numpy()
        result = []
        for number, entry in enumerate(self.entries):
            first, last = np.searchsorted(self._benchmark, [number, number + 1])
            grams = self.gram[self.offsets[first] : self.offsets[last]]
            distinct = np.unique(grams)
            mine, is_short = hits[first:last], short[first:last]
            result.append(
                Overlap(
                    entry.name,
                    Share(int(mine.sum()), len(grams)),
                    Share(int(seen[distinct].sum()), len(distinct)),
                    Share(int(np.count_nonzero(mine)), len(mine)),
                    Share(int(mine[is_short].sum()), int(is_short.sum())),
                )
            )
        return result

    def runs(self, example: int, seen: NDArray[np.bool_]) -> list[tuple[int, int]]:
        """Runs of n-grams of an example that were seen: (position of the first, how many), longest first."""
        found = np.flatnonzero(seen[self.gram[self.offsets[example] : self.offsets[example + 1]]])
        begins = np.flatnonzero(np.diff(found, prepend=-2) != 1)
        lengths = np.diff(begins, append=len(found))
        order = np.argsort(-lengths, kind="stable")
        return list(zip(found[begins[order]].tolist(), lengths[order].tolist(), strict=True))


def _distinct(values: Hashes) -> Hashes:
    """`numpy.unique`, with half of its memory."""
    values = np.sort(values)
    return values[np.append(True, values[1:] != values[:-1])] if len(values) else values
