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
    """Any notice, as words with a space behind each; the last group of a match is named by its kind.

    And where it may match, as trying it at every word takes long: at the words that notices begin with; or
    anywhere, if there is one of those that follow a `*` at the beginning.
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
