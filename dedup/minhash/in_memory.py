"""Near-duplicates among texts in memory."""

import numpy as np
from numpy.typing import NDArray

from dedup.minhash import lsh, signatures
from dedup.minhash.components import connected_components
from dedup.words import Texts, text_hashes

__all__ = ["near_duplicates"]


def near_duplicates(texts: Texts, *, threshold: float = 0.7) -> NDArray[np.int64]:
    """For each text, the index of the text that is kept in its place: shape (texts,), int64.

    A text is kept if that is its own index. Two texts are linked if MinHash (128 permutations, shingles of 5
    words) estimates their Jaccard similarity at `threshold` or more. Of all texts that are linked, directly
    or through others, the first is kept. Texts without words are always kept.

    texts: strings, or an Arrow array of strings. Needs about 2 kB of memory per text; for more texts than
    that allows there is `dedup.deduplicate`. Raises ValueError for a threshold that is not between 0 and 1, a
    null, or invalid Unicode.

    >>> from dedup import near_duplicates
    >>> near_duplicates(["One fish, two fish.", "Something else.", "ONE FISH, TWO FISH!"]).tolist()
    [0, 1, 0]
    """
    rows, shingles = signatures.signatures_and_counts(texts)
    bands, width = lsh.optimal_banding(threshold)
    filled = np.flatnonzero(shingles)
    keys = lsh.text_keys(text_hashes(texts))
    buckets = lsh.bucket_rows(filled, rows[filled], keys[filled], bands, width)
    pairs = lsh.candidate_pairs(buckets)
    pairs = pairs[lsh.similarity(rows[pairs["low"]], rows[pairs["high"]]) >= threshold]
    members = connected_components(pairs)
    keepers = np.arange(len(rows))
    keepers[members["node"]] = members["component"]
    return keepers
