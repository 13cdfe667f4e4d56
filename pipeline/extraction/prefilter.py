"""What can be told of a page before its text is extracted, which costs ten times as much.

The words of a page are all those that an engine may find in it, and more: navigation, titles, the JSON-LD
that trafilatura falls back on. So a page with too few of them has too few in its text; and a page without a
stretch of words in which some are the function words that every fifth word of English is, holds no English
worth keeping. Words are counted, in place of asking `pipeline.language.detect`, which would take 300 MB more
in the child process.

docs/measurements.md says what it saves and what it loses.
"""

from itertools import islice

from lxml.html import HtmlElement

from pipeline.extraction import notices
from pipeline.extraction.page import Dropped, Page

NOT_ENGLISH, TOO_SHORT = "not_english", "too_short"

STRETCH = 100  # words
ENOUGH = 3  # function words of a stretch that may be English; prose has 10 to 30
FUNCTION_WORDS = {  # frequent in English, rare in other languages
    *("the", "of", "and", "with", "this", "that", "from", "you", "your", "are", "have", "which", "they"),
    *("their", "there", "will"),
}
SAMPLE = 2_000  # characters to tell the language by
LIKELY = 0.5  # share of a short page's words in a notice that is taken for what the page is


def judge(tree: HtmlElement, page: Page) -> Dropped | None:
    """Why a page need not be extracted; None if it must be, or holds no word at all.

    tree: the page without scripts and styles. Is read up to the first English only, where that is wanted.
    """
    words = (word for text in tree.itertext() for word in text.split())
    stretches: list[str] = []
    n_words = 0
    may_be_kept = not page.english
    while stretch := list(islice(words, STRETCH)):
        stretches.append(" ".join(stretch))
        n_words += len(stretch)
        may_be_kept = may_be_kept or sum(word.lower() in FUNCTION_WORDS for word in stretch) >= ENOUGH
        if may_be_kept and n_words >= page.min_words:
            return None
    if 0 < n_words < page.min_words:
        kind, share = notices.notice(" ".join(stretches))
        return Dropped(kind if kind and share >= LIKELY else TOO_SHORT)
    if may_be_kept or n_words < STRETCH:
        return None
    text = " ".join(stretches)
    return Dropped(NOT_ENGLISH, text[max(0, (len(text) - SAMPLE) // 2) :][:SAMPLE])
