"""The pages of the demo's web: prose in pages/<host>/<slug>.md, hosts in sites.yaml, HTML from layouts/.

A page has YAML front matter (title, author, date; lang and charset where they are not "en" and "utf-8") and a
body in Markdown. `source` makes it a copy of another page, with each pair in `replace` applied to the text.
`benchmark` names the examples of benchmark.jsonl that it quotes. In a forum a line "=== name | date" begins
the next post.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import yaml
from markdown_it import MarkdownIt

from pipeline import templates

__all__ = ["Page", "Post", "Site", "content_type", "pages", "posts", "render", "sites"]

HERE = Path(__file__).parent
POST = re.compile(r"^=== (.+) \| (.+)$", re.MULTILINE)

REMARKS = (  # of readers, under blog posts
    ("Edith", "I have sent this to my brother, who will say that he knew it already."),
    (
        "J. Okonjo",
        "Lovely. One small thing: the second link in the sidebar seems to be broken here.",
    ),
    ("petrel_44", "First time here, found it by way of a forum. Are there more of these?"),
    ("Old Salt", "My uncle told it differently, but then my uncle told everything differently."),
    ("Bea", "Read it twice, the second time to the cat."),
    ("Anonymous", "Nice post, visit my web site for cheap watches."),
    ("Hamish T", "Thank you for writing this. I had been trying to explain it to my class."),
)


@dataclass(frozen=True)
class Site:
    """A host. layout: the name of a template; `text` for plain text. path: of its pages, with fields."""

    name: str
    tagline: str
    layout: str
    path: str
    robots: str = ""


@dataclass(frozen=True)
class Page:
    """A page as written. path: of its URL, with the query. benchmark: ids of the examples that it quotes."""

    host: str
    slug: str
    path: str
    title: str
    author: str
    date: str
    lang: str
    charset: str
    body: str
    benchmark: tuple[str, ...] = ()


@dataclass(frozen=True)
class Post:
    """What one person wrote on a page: the whole article, or a post of a forum's thread."""

    author: str
    date: str
    html: str


@cache
def sites() -> dict[str, Site]:
    """The sites by host."""
    read = yaml.safe_load((HERE / "sites.yaml").read_text(encoding="utf-8"))
    return {host: Site(**fields) for host, fields in read.items()}


@cache
def pages() -> dict[str, Page]:
    """The pages by the part of their URLs after "//", such as "film-notes.example/essays/trains"."""
    found = {}
    for host, site in sites().items():
        for number, file in enumerate(sorted((HERE / "pages" / host).glob("*.md")), 1):
            meta, body = _read(file)
            date = meta["date"].isoformat()
            year, month, day = date.split("-")
            lang = meta.get("lang", "en")
            path = site.path.format(
                slug=file.stem, lang=lang, number=4100 + 7 * number, year=year, month=month, day=day
            )
            found[host + path] = Page(
                host=host,
                slug=file.stem,
                path=path,
                title=meta["title"],
                author=meta["author"],
                date=date,
                lang=lang,
                charset=meta.get("charset", "utf-8"),
                body=body,
                benchmark=tuple(meta.get("benchmark", ())),
            )
    return found


def posts(page: Page) -> list[Post]:
    """The posts of a page, with their texts as HTML; the first is by the page's author."""
    parts = [page.author, page.date, *POST.split(page.body)]
    markdown = MarkdownIt()
    return [
        Post(parts[i], parts[i + 1], markdown.render(parts[i + 2]).strip()) for i in range(0, len(parts), 3)
    ]


def render(page: Page) -> bytes:
    """The body of the response, in the page's charset."""
    site = sites()[page.host]
    if site.layout == "text":
        return f"{page.title}\nby {page.author}\n\n{page.body}\n".encode()
    related = [other for other in pages().values() if other.host == page.host and other.slug != page.slug]
    first = hashlib.blake2b(page.slug.encode()).digest()[0] % (len(REMARKS) - 1)
    html = (
        _layouts()
        .get_template(f"{site.layout}.html")
        .render(site=site, page=page, posts=posts(page), related=related, comments=REMARKS[first : first + 2])
    )
    return html.encode(page.charset, "xmlcharrefreplace")


def content_type(page: Page) -> str:
    """The Content-Type header of the response. Old home pages name their charset only in the markup."""
    layout = sites()[page.host].layout
    if layout == "text":
        return "text/plain; charset=utf-8"
    return "text/html" if layout == "homepage" else "text/html; charset=utf-8"


@cache
def _layouts() -> jinja2.Environment:
    return templates.environment("pipeline.demo", "layouts", autoescape=False)  # no strangers here


def _read(file: Path) -> tuple[dict[str, Any], str]:
    """The front matter and the body of a page; of a copy the body of the source, edited."""
    _, front, body = file.read_text(encoding="utf-8").split("---\n", 2)
    meta = yaml.safe_load(front)
    if "source" in meta:
        _, body = _read(HERE / "pages" / f"{meta['source']}.md")
        for old, new in meta.get("replace", ()):
            if body.count(old) != 1:
                raise ValueError(f"{file}: {old!r} is not exactly once in {meta['source']}")
            body = body.replace(old, new)
    return meta, body.strip()
