"""The rules of heuristic cleaning, each of them a measure of a document (`measures`) and a limit.

A rule `min_x` or `max_x` compares the measure `x` with its limit in the settings; null switches the rule off.
The first rule that a document breaks, in the order of `RULES` (that of the settings), is the reason why it is
dropped. Limits and definitions are those of

    Gopher   Rae et al. 2021, "Scaling Language Models", appendix A.1.1 and table A1
    C4       Raffel et al. 2020, "Exploring the Limits of Transfer Learning", section 2.2
    FineWeb  Penedo et al. 2024, "The FineWeb Datasets", section 3.6

On by default are Gopher's rules and C4's rule for placeholder text. Off by default, because they remove prose
that a reader would keep (docs/extraction.md says how much of real texts), are Gopher's rule for the number of
repeated lines (hits code and quotations), C4's for curly brackets (every page with code) and for sentences,
and FineWeb's for line ends and short lines (verse, dialogue, lists; they were made for Common Crawl, not for
links that people chose). Gopher's rules for paragraphs are those for lines here: extracted text has one
paragraph per line.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.corpus.schemas import OK
from pipeline.quality import measures
from pipeline.quality.documents import Documents, Floats

if TYPE_CHECKING:
    from pipeline.settings import Quality

__all__ = ["ROWS", "RULES", "apply_rules"]

ROWS = 256  # documents that are measured together: bounds the memory

RULES: dict[str, Callable[[Documents], Floats]] = {
    "min_words": measures.n_words,
    "max_words": measures.n_words,
    "min_mean_word_length": measures.mean_word_length,
    "max_mean_word_length": measures.mean_word_length,
    "max_hash_ratio": measures.hash_ratio,
    "max_ellipsis_ratio": measures.ellipsis_ratio,
    "min_alphabetic_words": measures.alphabetic_words,
    "min_stop_words": measures.stop_words,
    "max_bullet_lines": measures.bullet_lines,
    "max_ellipsis_lines": measures.ellipsis_lines,
    "max_duplicate_lines": measures.duplicate_lines,
    "max_duplicate_line_chars": measures.duplicate_line_chars,
    **{f"max_top_{n}gram_chars": partial(measures.top_ngram_chars, n=n) for n in (2, 3, 4)},
    **{f"max_duplicate_{n}gram_chars": partial(measures.duplicate_ngram_chars, n=n) for n in range(5, 11)},
    "max_lorem_ipsum": measures.lorem_ipsum,
    "max_curly_brackets": measures.curly_brackets,
    "min_sentences": measures.sentences,
    "min_punctuated_lines": measures.punctuated_lines,
    "max_short_lines": measures.short_lines,
}


def apply_rules(texts: pa.Array | pa.ChunkedArray, settings: "Quality") -> tuple[pa.Array, pa.Array]:
    """The number of words (int32) and the outcome (string) of each text: `ok`, or the first rule it breaks.

    texts: an Array or ChunkedArray of strings without nulls. Memory is bounded by ROWS texts at a time.
    """
    words, reasons = [np.empty(0, np.int64)], [np.empty(0, object)]
    for documents in _slices(texts):
        words.append(measures.n_words(documents).astype(np.int64))
        reasons.append(_judge(documents, settings))
    return pa.array(np.concatenate(words), pa.int32()), pa.array(np.concatenate(reasons), pa.string())


def _slices(texts: pa.Array | pa.ChunkedArray) -> Iterator[Documents]:
    for chunk in texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]:
        for start in range(0, len(chunk), ROWS):
            yield Documents(chunk.slice(start, ROWS).cast(pa.large_string()))


def _judge(documents: Documents, settings: "Quality") -> npt.NDArray[Any]:
    reasons = np.full(len(documents.texts), OK, object)
    for rule, measure in RULES.items():
        limit = getattr(settings, rule)
        if limit is not None:
            values = measure(documents)
            broken = values < limit if rule.startswith("min_") else values > limit
            reasons[broken & (reasons == OK)] = rule
    return reasons
