"""Tokenizes texts and writes them as shards. `webtext shards` is the same command.

Reads Parquet and JSON Lines (`.jsonl`, `.ndjson`, `.json`, also with .gz, .bz2, .xz, .zst), from any fsspec
path, glob or directory. Writes OUTPUT/train and, with --heldout, OUTPUT/heldout: Parquet files of token ids
with their manifest. The same texts give the same bytes, whatever their order and the number of workers.

    python -m shards 'texts/*.jsonl.zst' corpus/ --text body --id id --heldout 0.05
    python -m shards.verify corpus/
    python -m shards.export corpus/ bin/ --to nanogpt
"""

import argparse
import sys
import time

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from shards.corpus import write_corpus
from shards.texts import TextFiles

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code: 0, 2 if something cannot be read or written, or 130 for Ctrl-C."""
    options = _parse(arguments)
    start = time.perf_counter()
    console = Console(stderr=True)
    try:
        texts = TextFiles(options.inputs, text=options.text, id=options.id, url=options.url)
        columns = (SpinnerColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("reading")

            def show(documents: int, tokens: int) -> None:
                rate = tokens / (time.perf_counter() - start)
                progress.update(
                    task, description=f"{documents:,} documents, {tokens:,} tokens, {rate:,.0f} tokens/s"
                )

            written = write_corpus(
                texts,
                options.output,
                tokenizer=options.tokenizer,
                heldout=options.heldout,
                batch=options.batch,
                tokens_per_shard=options.tokens_per_shard,
                tokens_per_row_group=options.tokens_per_row_group,
                workers=options.workers,
                progress=show,
            )
    except KeyboardInterrupt:
        print("shards: interrupted; no shards are left behind", file=sys.stderr)
        return 130
    except (ValueError, OSError, ImportError) as error:
        print(f"shards: {error}", file=sys.stderr)
        return 2
    seconds = time.perf_counter() - start
    for reason, count in texts.skipped.items():
        print(f"skipped {count:,} records: {reason}")
    for split, manifest in written.manifests.items():
        print(
            f"{split}: {manifest.documents:,} documents, {manifest.tokens:,} tokens, "
            f"{len(manifest.files)} files, {sum(file.n_bytes for file in manifest.files) / 1e6:,.1f} MB"
        )
    print(
        f"{written.documents:,} documents and {written.tokens:,} tokens from {len(texts.files)} files "
        f"in {seconds:.1f} s ({written.documents / seconds:,.0f} documents/s, "
        f"{written.tokens / seconds:,.0f} tokens/s), in {options.output}"
    )
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m shards", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="files, globs or directories of texts")
    parser.add_argument("output", metavar="OUTPUT", help="a directory that is empty or does not exist yet")
    parser.add_argument("--text", required=True, metavar="FIELD", help="the field with the text")
    parser.add_argument(
        "--id", metavar="FIELD", help="the field with a unique id (default: hash of the text)"
    )
    parser.add_argument("--url", metavar="FIELD", help="the field for the column url (default: empty)")
    parser.add_argument(
        "--tokenizer",
        default="gpt2",
        metavar="NAME",
        help="gpt2, an encoding of tiktoken, or the path of a tokenizer.json (default: %(default)s)",
    )
    parser.add_argument(
        "--heldout",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="of documents to hold out (default: %(default)s)",
    )
    parser.add_argument("--batch", default="", metavar="NAME", help="for the column batch (default: empty)")
    parser.add_argument(
        "--tokens-per-shard",
        type=int,
        default=100_000_000,
        metavar="N",
        help="about that many per file (default: %(default)s)",
    )
    parser.add_argument(
        "--tokens-per-row-group",
        type=int,
        default=1_000_000,
        metavar="N",
        help="about that many (default: %(default)s)",
    )
    parser.add_argument("--workers", type=int, metavar="N", help="threads (default: one per CPU)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
