"""Checks shards against their manifests. `webtext verify` is the same command.

Reads every file whole and checks that
- checksum, size and counts are those of the manifest,
- all ids are in the vocabulary of the tokenizer named in the file,
- every document ends with its end token and has no other,
- documents are sorted by doc_id, and n_tokens is right.

Then it decodes a sample of the documents, or all of them. Encoding the text again must give the same ids, and
with --texts it must be the text given there.

Prints a line for each problem, and a summary. Exits with 0 if all is well, 1 if something is wrong, and 2 if
there are no shards.
"""

import argparse
import hashlib
import itertools
import posixpath
import sys
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shards.manifest import NAME, Manifest, TokenFormat, describe_open, open_parquet
from shards.reader import Shard, find_shard_sizes, list_values, load_for
from shards.tokenizer import IdArray, Tokenizer
from shards.writer import find_fault

__all__ = ["Verification", "main"]


class Verification:
    """Checks the shards at an fsspec path (see `shards.reader.find_shards`); `problems` does the work.

    texts: an fsspec path of Parquet files with columns doc_id and text, which decoded documents must equal.
    sample: how many documents to decode, spread over the shards; None for all of them.
    files, documents, tokens, decoded: counts of what was read so far.

    Holds one row group, and about 250 bytes for each document whose text is compared.
    """

    def __init__(self, path: str, *, texts: str | None = None, sample: int | None = 1000) -> None:
        self._path = path
        self._texts = texts
        self._sample = sample
        self._digests: dict[str, bytes] = {}  # of decoded documents
        self.files = self.documents = self.tokens = self.decoded = 0

    def problems(self) -> Iterator[str]:
        """Reads everything and yields a line per problem. Raises FileNotFoundError if there are no shards."""
        fs, sizes, _ = find_shard_sizes(self._path)
        directories = {posixpath.dirname(path) for path in sizes}
        manifests: dict[str, Manifest] = {}
        for directory in sorted(directories):
            path = posixpath.join(directory, NAME)
            try:
                manifests[directory] = Manifest.loads(fs.cat_file(path), path)
            except FileNotFoundError:
                yield f"{path}: missing, so counts and checksums have nothing to be compared with"
            except ValueError as error:
                yield str(error)
            else:
                names = [posixpath.join(directory, file.name) for file in manifests[directory].files]
                yield from (
                    f"{name}: in the manifest, but not there" for name in names if not fs.exists(name)
                )
        first: TokenFormat | None = None
        for path in sizes:
            self.files += 1
            try:
                with fs.open(path, "rb") as file:
                    header, entry = describe_open(file, path)
                    if manifest := manifests.get(posixpath.dirname(path)):
                        manifest.compare(header, entry, path)
                    first = first or header.tokens_as
                    if header.tokens_as != first:
                        raise ValueError(f"{path}: ids of another vocabulary than in {next(iter(sizes))}")
                    self._read(Shard(file, path), len(sizes))
            except (ValueError, OSError) as error:
                yield str(error)
        if self._texts is not None:
            yield from self._compare(self._texts)

    def _read(self, shard: Shard, n_shards: int) -> None:
        """Raises ValueError for the first thing that is wrong in a shard."""
        tokenizer = load_for(shard.header, shard.name)
        sample = shard.header.documents if self._sample is None else -(-self._sample // n_shards)
        decoded = set(
            np.linspace(0, shard.header.documents - 1, sample).astype(int).tolist() if sample else []
        )
        number, last = 0, ""
        for index in range(shard.n_row_groups):
            table = shard.table(index, ["doc_id", "tokens", "n_tokens"])
            ids, offsets = list_values(table["tokens"])
            doc_ids = table["doc_id"].to_pylist()
            if wrong := find_fault(ids, offsets, tokenizer):
                raise ValueError(f"{shard.name}: document {doc_ids[wrong[0]]} {wrong[1]}")
            if (table["n_tokens"].to_numpy() != np.diff(offsets)).any():
                raise ValueError(
                    f"{shard.name}: row group {index}: n_tokens differs from the tokens there are"
                )
            if any(a >= b for a, b in itertools.pairwise([last, *doc_ids])):
                raise ValueError(f"{shard.name}: row group {index}: not in the order of doc_id")
            for row, doc_id in enumerate(doc_ids):
                if number + row in decoded:
                    self._decode(
                        f"{shard.name}: document {doc_id}",
                        doc_id,
                        ids[offsets[row] : offsets[row + 1]],
                        tokenizer,
                    )
            number, last = number + len(doc_ids), doc_ids[-1]
            self.tokens += len(ids)
        self.documents += number

    def _decode(self, name: str, doc_id: str, ids: IdArray, tokenizer: Tokenizer) -> None:
        text = tokenizer.decode(ids[:-1])
        if tokenizer.encode_batch([text])[0].tolist() != ids[:-1].tolist():
            raise ValueError(f"{name}: its text has other ids than these")
        self.decoded += 1
        if self._texts is not None:
            self._digests[doc_id] = _digest(text)

    def _compare(self, texts: str) -> Iterator[str]:
        """A document that is given more than once, in several batches, may have any of its texts."""
        fs, sizes, _ = find_shard_sizes(texts)
        wanted = pa.array(sorted(self._digests), pa.string())
        differing = set()
        for path in sizes:
            with fs.open(path, "rb") as file:
                parquet = open_parquet(file, path)
                if not {"doc_id", "text"} <= set(parquet.schema_arrow.names):
                    yield f"{path}: no columns doc_id and text to compare with"
                    continue
                for batch in parquet.iter_batches(1000, columns=["doc_id", "text"]):
                    found = batch.filter(pc.and_(pc.is_in(batch["doc_id"], wanted), batch["text"].is_valid()))
                    for doc_id, text in zip(*(column.to_pylist() for column in found.columns), strict=True):
                        if self._digests.get(doc_id) == _digest(text):
                            del self._digests[doc_id]
                        elif doc_id in self._digests:
                            differing.add(doc_id)
        for doc_id in self._digests:
            what = "the text is another one" if doc_id in differing else "no text to compare with"
            yield f"document {doc_id}: {what} in {texts}"


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code: 0 if all is well, 1 if something is wrong, 2 for no shards."""
    parser = argparse.ArgumentParser(
        prog="python -m shards.verify",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", help="a shard, or a directory of shards; any fsspec path")
    parser.add_argument(
        "--texts", help="Parquet files with columns doc_id and text, to compare decoded texts with"
    )
    parser.add_argument("--sample", type=int, default=1000, help="documents to decode (default: %(default)s)")
    parser.add_argument("--all", action="store_true", help="decode all documents")
    options = parser.parse_args(arguments)
    verification = Verification(
        options.path, texts=options.texts, sample=None if options.all else options.sample
    )
    wrong = 0
    try:
        for problem in verification.problems():
            print(problem, flush=True)
            wrong += 1
    except OSError as error:
        print(error, file=sys.stderr)
        return 2
    print(
        f"{verification.files} shards, {verification.documents:,} documents, {verification.tokens:,} tokens, "
        f"{verification.decoded:,} documents decoded: {f'{wrong} wrong' if wrong else 'all as it should be'}"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
