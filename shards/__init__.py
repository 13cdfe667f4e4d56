"""Token ids on disk for training language models: write texts as shards, read, check and convert them.

    import shards

    shards.write_corpus(texts, "corpus/", heldout=0.05)
    for windows in shards.PackedReader("corpus/train", length=1025, batch_size=8):
        ...  # uint16, shape (8, 1025)

A shard is a Parquet file with a row per document: doc_id, url, batch, tokens (list of uint16, or uint32 for
large vocabularies, ended by the end token) and n_tokens. A manifest beside the shards lists them with counts
and checksums. All paths are fsspec paths, such as `corpus/` or `s3://bucket/corpus`.

Write:
    write_corpus            texts to shards (also `python -m shards`)
    document_id             the doc_id for an id of any other form
    shards.writer           one shard at a time: tokenize, write_shard
    shards.placement        which split and which shard a document belongs to
    shards.tokenizer        load(name): GPT-2's tokenizer, tiktoken's encodings, a tokenizer.json

Read:
    read_documents          (doc_id, url, ids) of every document, in order
    read_texts              (doc_id, url, text) of every document, in order
    PackedReader            windows for training: shuffled, split over ranks, resumable exactly
    DocumentReader          the same with whole documents
    shards.torch            PackedDataset and Loader for PyTorch and transformers (needs the extra `torch`)
    shards.document_masking document ids, position ids and cu_seqlens of packed windows

Check and convert:
    shards.manifest         Header of a file, Manifest of a directory
    shards.verify           reads everything and compares (also `python -m shards.verify`)
    shards.export           nanoGPT's, Megatron-LM's and JSON Lines files (also `python -m shards.export`)

The package knows nothing of crawling or de-duplication. Importing it is cheap: the names above load their
modules when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shards.corpus import WrittenCorpus, write_corpus
    from shards.placement import document_id
    from shards.reader import read_documents, read_texts
    from shards.stream import DocumentReader, PackedReader

__all__ = [
    "DocumentReader",
    "PackedReader",
    "WrittenCorpus",
    "document_id",
    "read_documents",
    "read_texts",
    "write_corpus",
]

_MODULES = {
    "DocumentReader": "shards.stream",
    "PackedReader": "shards.stream",
    "WrittenCorpus": "shards.corpus",
    "document_id": "shards.placement",
    "read_documents": "shards.reader",
    "read_texts": "shards.reader",
    "write_corpus": "shards.corpus",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'shards' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
