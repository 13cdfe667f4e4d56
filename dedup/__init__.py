"""Text against text: near-duplicates, n-gram overlap with benchmarks, Bloom filters of n-grams.

Texts in memory, one call:

    >>> import dedup
    >>> dedup.near_duplicates(["One fish, two fish.", "Something else.", "ONE FISH, TWO FISH!"]).tolist()
    [0, 1, 0]

Files of any size, on Dask (on the command line: `python -m dedup --help`):

    from distributed import Client
    with Client() as client:
        dedup.deduplicate(["texts/*.jsonl.zst"], "unique/", text="body", id="id")

MinHash signatures that datasketch can read:

    >>> dedup.minhash_signatures(["the quick brown fox jumps over the lazy dog"]).shape
    (1, 128)

`dedup.minhash.decisions.decide` does the same for documents whose signatures are on storage, batch after
batch. `dedup.ngrams` finds the n-grams of benchmarks in texts, `dedup.bloom` holds billions of n-grams in a
filter.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dedup.files import FileError
    from dedup.minhash.dataset import Summary, deduplicate
    from dedup.minhash.in_memory import near_duplicates
    from dedup.minhash.signatures import minhash_signatures
    from dedup.words import normalize

__all__ = ["FileError", "Summary", "deduplicate", "minhash_signatures", "near_duplicates", "normalize"]

_MODULES = {  # imported on first use: Dask, pandas and scipy take a second of processor time
    "FileError": "dedup.files",
    "Summary": "dedup.minhash.dataset",
    "deduplicate": "dedup.minhash.dataset",
    "minhash_signatures": "dedup.minhash.signatures",
    "near_duplicates": "dedup.minhash.in_memory",
    "normalize": "dedup.words",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'dedup' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
