"""The dataset card: README.md of a corpus, with the YAML header that the Hugging Face hub reads.

`write` collects the data (`Card`) from a corpus and stores what `render` makes of it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq

from pipeline import templates
from pipeline.corpus.files import Corpus
from pipeline.corpus.partitions import add_counts
from pipeline.corpus.schemas import OK
from shards import manifest
from shards.manifest import Manifest

__all__ = ["Batch", "Card", "Overlap", "Split", "Stage", "render", "write"]

HOSTS = 50  # the most frequent, that are listed
REASONS = 3  # the most frequent of a stage, that are listed
SPLITS = ("train", "heldout")
_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "n>1B")


@dataclass(frozen=True)
class Split:
    """The shards of one split, all batches together. n_bytes: of the files."""

    name: str
    documents: int
    tokens: int
    files: int
    n_bytes: int


@dataclass(frozen=True)
class Batch:
    """A committed batch. committed: the time, ISO 8601. sources: names of the files it was made from."""

    name: str
    committed: str
    sources: Sequence[str]
    min_karma: int
    documents: int


@dataclass(frozen=True)
class Stage:
    """A line of the funnel. reasons: the most frequent reasons for dropping rows, with counts."""

    name: str
    given: int
    kept: int
    reasons: Sequence[tuple[str, int]]


@dataclass(frozen=True)
class Overlap:
    """The overlap of a batch with a benchmark.

    occurrences: the share of the benchmark's n-grams that were found. examples: the share of its texts with
    any of them. Both from 0 to 1.
    """

    batch: str
    benchmark: str
    occurrences: float
    examples: float


@dataclass(frozen=True)
class Card:
    """All that a card says.

    languages: codes of those that are kept. tokenizer, vocabulary, dtype, end_of_text: as in the manifests of
    the shards. hosts: the most frequent of `n_hosts`, with their numbers of documents.
    """

    name: str
    corpus: str
    version: str
    contact: str | None
    languages: Sequence[str]
    tokenizer: str
    vocabulary: str
    dtype: str
    end_of_text: int
    splits: Sequence[Split]
    batches: Sequence[Batch]
    funnel: Sequence[Stage]
    hosts: Sequence[tuple[str, int]]
    n_hosts: int
    overlaps: Sequence[Overlap]

    @property
    def size_category(self) -> str:
        """The hub's size category for the number of documents, such as `1M<n<10M`."""
        documents = sum(split.documents for split in self.splits)
        return _SIZES[min(max(0, len(str(documents)) - 3), len(_SIZES) - 1)]


def render(card: Card) -> str:
    """The card as Markdown."""
    template = templates.environment("pipeline.report", autoescape=False, cell=_cell).get_template("card.md")
    return template.render(card=card) + "\n"


def write(corpus: Corpus, records: Mapping[str, Mapping[str, Any]], contact: str | None) -> None:
    """Writes README.md of a corpus. Reads the URLs of all documents.

    records: of the committed batches by name, oldest first. contact: of whoever distributes the corpus.
    """
    manifests = [found for name in records for split in SPLITS if (found := _manifest(corpus, split, name))]
    hosts = Counter(host for found in manifests for host in _hosts(corpus, found))
    last = manifests[-1]
    card = Card(
        name=f"WebText-style corpus {corpus.id[:8]}",
        corpus=corpus.id,
        version=version("webtext-pipeline"),
        contact=contact,
        languages=sorted({code for r in records.values() for code in r["settings"]["language"]["keep"]}),
        tokenizer=last.tokenizer,
        vocabulary=last.vocabulary,
        dtype=last.dtype,
        end_of_text=last.end_of_text,
        splits=[_split(name, [found for found in manifests if found.split == name]) for name in SPLITS],
        batches=[
            Batch(
                name=name,
                committed=record["committed"],
                sources=[PurePosixPath(item["path"]).name for item in record["inputs"]],
                min_karma=record["settings"]["links"]["min_karma"],
                documents=sum(found.documents for found in manifests if found.batch == name),
            )
            for name, record in records.items()
        ],
        funnel=_funnel(records),
        hosts=sorted(hosts.items(), key=lambda item: (-item[1], item[0]))[:HOSTS],
        n_hosts=len(hosts),
        overlaps=[overlap for name in records for overlap in _overlaps(corpus, name)],
    )
    corpus.write_text("README.md", render(card))


def _manifest(corpus: Corpus, split: str, batch: str) -> Manifest | None:
    name = corpus.path(f"shards/{split}/{batch}/{manifest.NAME}")
    return Manifest.loads(corpus.fs.cat_file(name), name) if corpus.fs.exists(name) else None


def _hosts(corpus: Corpus, found: Manifest) -> Iterator[str]:
    for file in found.files:
        with corpus.fs.open(corpus.path(f"shards/{found.split}/{found.batch}/{file.name}"), "rb") as opened:
            for rows in pq.ParquetFile(opened).iter_batches(columns=["url"]):
                for url in rows["url"].to_pylist():
                    yield (urlsplit(url).hostname or "").removeprefix("www.")


def _split(name: str, manifests: Sequence[Manifest]) -> Split:
    return Split(
        name=name,
        documents=sum(found.documents for found in manifests),
        tokens=sum(found.tokens for found in manifests),
        files=sum(len(found.files) for found in manifests),
        n_bytes=sum(file.n_bytes for found in manifests for file in found.files),
    )


def _funnel(records: Mapping[str, Mapping[str, Any]]) -> list[Stage]:
    total = add_counts(record["funnel"] for record in records.values())
    stages = []
    for name, counts in total.items():
        dropped = sorted((-n, reason) for reason, n in counts.items() if reason != OK and n)
        reasons = [(reason, -n) for n, reason in dropped[:REASONS]]
        stages.append(Stage(name, sum(counts.values()), counts.get(OK, 0), reasons))
    return stages


def _overlaps(corpus: Corpus, batch: str) -> list[Overlap]:
    report = corpus.read_json(f"reports/{batch}/contamination.json") or {}
    return [
        Overlap(batch, result["name"], found["occurrences"]["share"], found["examples"]["share"])
        for result in report.get("benchmarks", [])
        if (found := result["corpus"])
    ]


def _cell(text: str) -> str:
    """A text of strangers for a cell of a Markdown table: one line, its markup escaped."""
    escaped = "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in str(text))
    return " ".join(escaped.split())
