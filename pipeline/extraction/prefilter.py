"""Drops short and foreign pages before extraction, which costs ten times as much as this look at their words.

The words of a page are all that an engine may find in it, and more: navigation, titles, the JSON-LD that
trafilatura falls back on. So a page with too few words has too few in its text. Every fifth word of English
prose is one of a few function words; a page with no stretch of words that holds some of them has no English
worth keeping. Function words are counted because `pipeline.language.detect` would take 300 MB more in the
child process.

docs/measurements.md says what this saves and what it loses.
"""

from itertools import islice

from lxml.html import HtmlElement

from pipeline.extraction import notices
from pipeline.extraction.page import Dropped, Page

__all__ = ["NOT_ENGLISH", "TOO_SHORT", "judge"]

NOT_ENGLISH, TOO_SHORT = "not_english", "too_short"

STRETCH = 100  # words that are judged together
ENOUGH = 3  # function words in a stretch that may be English; prose has 10 to 30
FUNCTION_WORDS = {  # frequent in English, rare in other languages
    *("the", "of", "and", "with", "this", "that", "from", "you", "your", "are", "have", "which", "they"),
    *("their", "there", "will"),
}
SAMPLE = 2_000  # characters of a foreign page that are passed on, to identify its language by
LIKELY = 0.5  # share of a short page's words that must be in a notice for the page to count as one


def judge(tree: HtmlElement, page: Page) -> Dropped | None:
    """Why a page need not be extracted; None if it must be, or if it holds no word at all.

    tree: the page without scripts and styles. Reads no further than it takes to see that the page may be
    kept.
    """
    words = (word for text in tree.itertext() for word in text.split())
    stretches: list[str] = []
    n_words = 0
    may_be_kept = not page.english_only
    while stretch := list(islice(words, STRETCH)):
        stretches.append(" ".join(stretch))
        n_words += len(stretch)
        may_be_kept = may_be_kept or sum(word.lower() in FUNCTION_WORDS for word in stretch) >= ENOUGH
        if may_be_kept and n_words >= page.min_words:
            return None
    if 0 < n_words < page.min_words:
        kind, share = notices.classify(" ".join(stretches))
        return Dropped(kind if kind and share >= LIKELY else TOO_SHORT)
    if may_be_kept or n_words < STRETCH:
        return None
    text = " ".join(stretches)
    return Dropped(NOT_ENGLISH, text[max(0, (len(text) - SAMPLE) // 2) :][:SAMPLE])
