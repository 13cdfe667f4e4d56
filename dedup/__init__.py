"""Text against text: near-duplicates and n-gram overlap. Knows nothing of crawling."""

import numpy as np
from numpy.typing import NDArray

from dedup.minhash import clusters, lsh, signatures
from dedup.words import Texts, text_hashes


def near_duplicates(texts: Texts, *, threshold: float = 0.7) -> NDArray[np.int64]:
    """For each text the index of the one that stands for it: shape (texts,), int64.

    A text is kept where that is its own index. Texts are linked if MinHash (128 permutations, shingles of 5
    words) estimates their Jaccard similarity at `threshold` or more; the first of all that are linked,
    directly or through others, stands for them. Texts without words stand for themselves. In memory, about
    2 kB a text; `decisions` does the same for corpora. Raises ValueError for a threshold outside 0 … 1,
    a null, or invalid Unicode.
    """
    rows, shingles = signatures.sketch(texts)
    bands, width = lsh.parameters(threshold)
    filled = np.flatnonzero(shingles)
    keys = lsh.text_keys(text_hashes(texts))
    buckets = lsh.bucket_rows(filled, rows[filled], keys[filled], bands, width)
    pairs = lsh.candidates(buckets)
    pairs = pairs[lsh.similarity(rows[pairs["low"]], rows[pairs["high"]]) >= threshold]
    members = clusters.components(pairs)
    keepers = np.arange(len(rows))
    keepers[members["node"]] = members["component"]
    return keepers
