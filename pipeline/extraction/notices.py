"""Pages that hold nothing but a notice: login walls, cookie banners, bot checks, soft 404s, parked domains.

`notices.yaml` holds the wording of known notices and where it comes from. A text counts as a notice only if
it is short and has no other word: an article that quotes a notice, or ends in one, is not touched.
"""

import re
from collections import Counter
from functools import cache
from pathlib import Path

import yaml

__all__ = ["FILLER", "MAX_CHARS", "NOTICES", "classify"]

NOTICES = Path(__file__).with_name("notices.yaml")
FILLER = "filler"  # the kind of what stands beside a notice and is none by itself
MAX_CHARS = 1_500  # longer texts are no notices
ANY = r"(?:\S+ ){0,15}?\S+"  # what a `*` stands for

_WORD = re.compile(r"[^\W_]+(?:[.-][^\W_]+)*|\*")  # a domain is a word


def classify(text: str) -> tuple[str | None, float]:
    """The kind of notice that most words of a text belong to, and the share of words in notices and filler.

    The kind is a key of `notices.yaml` such as `login_wall`, or None. The share is 1 if no other word is
    left.
    """
    words = _words(text) if len(text) <= MAX_CHARS else []
    if not words:
        return None, 0.0
    pattern, beginnings, second = _notices()
    anywhere = not second.isdisjoint(words)
    line = " ".join(words) + " "
    found: Counter[str] = Counter()
    start = end = 0
    for word in words:
        if start >= end and (anywhere or word in beginnings) and (match := pattern.match(line, start)):
            found[str(match.lastgroup)] += match[0].count(" ")
            end = match.end()
        start += len(word) + 1
    share = found.total() / len(words)
    del found[FILLER]
    return max(found, key=lambda kind: found[kind], default=None), share


@cache
def _notices() -> "tuple[re.Pattern[str], set[str], set[str]]":
    """A pattern for any notice, as words with a space after each; the last group of a match names its kind.

    Matching at every word would take long. So there are two sets with it: the words that notices begin with,
    and the second words of those that begin with `*`. A text with one of the latter is tried at every word.
    """
    kinds = yaml.safe_load(NOTICES.read_text("utf-8"))
    groups = []
    beginnings: set[str] = set()
    second: set[str] = set()
    for kind, sources in kinds.items():
        lines = [line for lines in sources.values() for line in lines]
        beginnings |= {_words(line)[0] for line in lines}
        second |= {_words(line)[1] for line in lines if line.startswith("*")}
        notices = sorted(map(_normalised, lines), key=len)
        groups.append(f"(?P<{kind}>{'|'.join(reversed(notices))})")
    return re.compile(rf"(?:{'|'.join(groups)}) "), beginnings, second


def _normalised(line: str) -> str:
    return " ".join(ANY if word == "*" else re.escape(word) for word in _words(line))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
