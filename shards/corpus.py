"""From texts to a corpus of shards on disk, in one call."""

import contextlib
import os
import posixpath
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec

from shards import placement, spill
from shards.manifest import Manifest
from shards.spill import SPLITS, Text
from shards.split import map_ahead, write_split
from shards.tokenizer import Tokenizer, load

__all__ = ["WrittenCorpus", "write_corpus"]

_CHUNK_CHARACTERS = 2**23  # of text that a worker tokenizes at a time
_CHUNK_DOCUMENTS = 20_000


@dataclass(frozen=True)
class WrittenCorpus:
    """What `write_corpus` has written.

    directory: as given. manifests: by split, `train` and, if anything may be held out, `heldout`; a manifest
    lists the files with their documents, tokens, bytes and checksums.
    """

    directory: str
    manifests: dict[str, Manifest]

    @property
    def documents(self) -> int:
        """The number of documents in all splits."""
        return sum(manifest.documents for manifest in self.manifests.values())

    @property
    def tokens(self) -> int:
        """The number of tokens in all splits; each document has its end token."""
        return sum(manifest.tokens for manifest in self.manifests.values())

    @property
    def files(self) -> list[str]:
        """The paths of all shards."""
        return [
            posixpath.join(self.directory, split, file.name)
            for split, manifest in self.manifests.items()
            for file in manifest.files
        ]


def write_corpus(
    texts: Iterable[Text],
    directory: str | os.PathLike[str],
    *,
    tokenizer: str | Tokenizer = "gpt2",
    heldout: float = 0.0,
    batch: str = "",
    tokens_per_shard: int = 100_000_000,
    tokens_per_row_group: int = 1_000_000,
    workers: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> WrittenCorpus:
    """Tokenizes texts and writes them as shards in `directory/train/` and, with `heldout`, `…/heldout/`.

    texts: any number of strings, or of tuples (doc_id, url, text). A doc_id may be any string: one that is
    not 32 lower-case hexadecimal digits is replaced by its hash (`shards.document_id`). It must occur only
    once. Without a doc_id (a plain string, or None in the tuple) the hash of the text stands for it; copies
    of a text count on from there. The url may be empty.
    directory: an fsspec path, empty or not there yet.
    tokenizer: a tokenizer or its name, see `shards.tokenizer.load`.
    heldout: the share of documents in the held-out split, in [0, 1). A document's doc_id decides, so copies
    of a text without ids are on the same side.
    batch: the value of the column of that name.
    tokens_per_shard, tokens_per_row_group: about how many a file, and a row group, is to hold.
    workers: threads that tokenize and write; by default one per available CPU.
    progress: called with the documents and tokens tokenized so far, now and then.

    The bytes of the files depend on the set of documents and the options, not on the order of the texts or on
    the workers. Memory holds about 100 MB per worker while tokenizing, and two shards per worker while
    writing. Temporary files (in TMPDIR) need about the size of the tokens, 2 or 4 bytes each.

    Raises FileExistsError for a directory that is not empty; ValueError for options out of range, a doc_id
    that occurs twice, or a text with lone surrogates; OSError. After an error no shards are left behind.
    """
    if not 0 <= heldout < 1:
        raise ValueError(f"a held-out share of {heldout}: expected at least 0 and less than 1")
    if tokens_per_shard < 1 or (workers is not None and workers < 1):
        raise ValueError("tokens_per_shard and workers must be at least 1")
    workers = workers or _available_cpus()
    encoder = load(tokenizer) if isinstance(tokenizer, str) else tokenizer
    fs, root = fsspec.core.url_to_fs(os.fspath(directory))
    if fs.exists(root) and (fs.isfile(root) or fs.ls(root)):
        raise FileExistsError(f"{directory}: not an empty directory")
    splits = SPLITS if heldout else SPLITS[:1]
    with tempfile.TemporaryDirectory(prefix="shards-") as scratch, contextlib.ExitStack() as cleanup:
        totals, files = _tokenize(texts, Path(scratch), encoder, heldout, batch, workers, progress)
        manifests = {}
        for split in splits:
            n_shards = placement.shard_count(totals[split], tokens_per_shard)
            place = posixpath.join(root, split)
            cleanup.callback(_remove, fs, place)
            manifests[split] = write_split(
                (spill.read_shard(files[split], shard, n_shards) for shard in range(n_shards)),
                fs.unstrip_protocol(place),
                n_shards=n_shards,
                split=split,
                batch=batch,
                tokenizer=encoder,
                tokens_per_row_group=tokens_per_row_group,
                workers=workers,
            )
        cleanup.pop_all()
    return WrittenCorpus(os.fspath(directory), manifests)


def _tokenize(
    texts: Iterable[Text],
    scratch: Path,
    tokenizer: Tokenizer,
    heldout: float,
    batch: str,
    workers: int,
    progress: Callable[[int, int], object] | None,
) -> tuple[Counter[str], dict[str, list[Path]]]:
    """Spills all texts; returns the tokens and the files of each split."""

    def spill_chunk(numbered: tuple[int, list[Text]]) -> spill.SpilledChunk:
        number, chunk = numbered
        return spill.spill(chunk, scratch, number, tokenizer=tokenizer, heldout=heldout, batch=batch)

    documents, totals = 0, Counter[str]()
    files: dict[str, list[Path]] = {split: [] for split in SPLITS}
    with ThreadPoolExecutor(workers) as pool:
        for chunk in map_ahead(pool, spill_chunk, enumerate(_chunks(texts)), ahead=workers):
            documents += chunk.documents
            totals.update(chunk.tokens)
            for split, path in chunk.files.items():
                files[split].append(path)
            if progress:
                progress(documents, totals.total())
    return totals, files


def _chunks(texts: Iterable[Text]) -> Iterator[list[Text]]:
    chunk: list[Text] = []
    characters = 0
    for text in texts:
        chunk.append(text)
        characters += len(text if isinstance(text, str) else text[2])
        if characters >= _CHUNK_CHARACTERS or len(chunk) >= _CHUNK_DOCUMENTS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def _available_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _remove(fs: Any, path: str) -> None:
    if fs.exists(path):
        fs.rm(path, recursive=True)
