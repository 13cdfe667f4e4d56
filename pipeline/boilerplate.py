"""Pages that hold nothing but a notice: login walls, cookie banners, bot checks, soft 404s, parked domains.

`notices.yaml` says what they say, word for word, and where that comes from. A text is taken for a notice only
if it is short and has no other word: an article that quotes one, or ends in one, is not touched.
"""

import re
from collections import Counter
from functools import cache
from pathlib import Path

import yaml

NOTICES = Path(__file__).with_name("notices.yaml")
FILLER = "filler"  # what stands beside a notice and makes none
MAX_CHARS = 1_500  # of a text that may be a notice
ANY = r"(?:\S+ ){0,15}?\S+"  # what a `*` stands for

_WORD = re.compile(r"[^\W_]+(?:[.-][^\W_]+)*|\*")  # a domain is a word


def notice(text: str) -> tuple[str | None, float]:
    """The kind of notice that most words of a text belong to (None: there is none), and the share of words
    that are in any notice.
    """
    words = _words(text) if len(text) <= MAX_CHARS else []
    if not words:
        return None, 0.0
    found: Counter[str] = Counter()
    for match in _pattern().finditer(" ".join(words) + " "):
        found[str(match.lastgroup)] += match[0].count(" ")
    share = found.total() / len(words)
    del found[FILLER]
    return max(found, key=lambda kind: found[kind], default=None), share


@cache
def _pattern() -> "re.Pattern[str]":
    """Any notice, as words with a space behind each; the last group of a match is named by its kind."""
    kinds = yaml.safe_load(NOTICES.read_text("utf-8"))
    groups = []
    for kind, sources in kinds.items():
        notices = sorted((_normalised(line) for lines in sources.values() for line in lines), key=len)
        groups.append(f"(?P<{kind}>{'|'.join(reversed(notices))})")
    return re.compile(rf"(?<!\S)(?:{'|'.join(groups)}) ")


def _normalised(line: str) -> str:
    return " ".join(ANY if word == "*" else re.escape(word) for word in _words(line))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
