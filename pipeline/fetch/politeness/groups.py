"""robots.txt reduced to the group that applies to one crawler, by RFC 9309.

Protego matches paths as RFC 9309 says, but reads groups in its own way: any line that it does not know ends a
group's list of user agents, `User-agent: name/0.1` is not `name`, and `User-agent: web` applies to
`webtext-pipeline`. So groups are made here, as Google's parser makes them
(https://github.com/google/robotstxt, robots.cc), and Protego is given one group.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Group", "group", "lines"]

MAX_LINE = 2083 * 8 - 1  # bytes; what follows in a line is not read, as by Google's parser

_BYTE_ORDER_MARK = re.compile(rb"\xef(?:\xbb\xbf?)?")
_WORD = re.compile(rb"[A-Za-z_-]+")  # a product token (RFC 9309, section 2.2.1)
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_NAMES = {  # a line's name begins with one of these, misspellings that Google accepts included
    "user-agent": (b"user-agent", b"useragent", b"user agent"),
    "allow": (b"allow",),
    "disallow": (b"disallow", b"dissallow", b"dissalow", b"disalow", b"diasllow", b"disallaw"),
    "sitemap": (b"sitemap", b"site-map"),
    "crawl-delay": (b"crawl-delay", b"crawl delay"),
    "content-usage": (b"content-usage",),
    "content-signal": (b"content-signal",),
}


@dataclass
class Group:
    """The lines that apply to a crawler, names and values, in their order. Values are ASCII."""

    rules: list[tuple[str, str]] = field(default_factory=list)

    def values(self, name: str) -> list[str]:
        """The values of the lines of a name."""
        return [value for key, value in self.rules if key == name]

    def paths(self) -> str:
        """The rules about paths, as a robots.txt for every user agent."""
        rules = [f"{name}: {value}" for name, value in self.rules if name in ("allow", "disallow")]
        return "\n".join(["User-agent: *", *rules])


def group(content: bytes, product: str) -> Group:
    """The rules of all groups that name `product`; of those for `*`, where none does.

    A group's list of user agents ends with its first `Allow` or `Disallow`; blank lines and lines of any
    other name stand anywhere (RFC 9309, sections 2.1, 2.2.4). Of a user agent the first word counts, letters,
    `-` and `_`, whatever their case. A line of another name is for the user agents before it; what is said of
    the use of content before any is for all.
    """
    ours, everybody = Group(), Group()
    named = False
    current: list[Group] = []
    listing = True  # whether a user agent would join those of the current group
    for name, value in lines(content):
        if name == "user-agent":
            if not listing:
                current, listing = [], True
            word = _WORD.match(value)
            if re.match(rb"\*(?:\s|$)", value):
                current.append(everybody)
            elif word and word[0].lower() == product.lower().encode():
                current.append(ours)
                named = True
            elif not current:
                current = [Group()]  # of somebody else
            continue
        listing = listing and name not in ("allow", "disallow")
        text = _NOT_ASCII.sub(lambda byte: b"%%%02X" % byte[0][0], value).decode("ascii")
        outside = [ours, everybody] if name in ("content-usage", "content-signal") else []
        for one in current or outside:
            one.rules.append((name, text))
    return ours if named else everybody


def lines(content: bytes) -> Iterator[tuple[str, bytes]]:
    """The lines that say something: a name of _NAMES, or "" for any other, and a value.

    Lines end with CR, LF or both. A colon may be missing where a line has two words.
    """
    content = content[mark.end() :] if (mark := _BYTE_ORDER_MARK.match(content)) else content
    for line in content.splitlines():
        text = line[:MAX_LINE].partition(b"#")[0].strip()
        name, colon, value = text.partition(b":")
        if not colon:
            words = text.split()
            if len(words) != 2:
                continue
            name, value = words
        name = name.strip().lower()
        if name:
            known = (key for key, starts in _NAMES.items() if name.startswith(starts))
            yield next(known, ""), value.strip()
