"""The shorter way to trafilatura's text against trafilatura as it comes."""

import subprocess
import sys
from functools import partial

import msgspec
import pytest
from trafilatura import metadata

from pipeline.extraction import charset, engines
from pipeline.extraction.fast_trafilatura import main_text, markup
from pipeline.extraction.one_page import clean, extract_page
from pipeline.extraction.page import Text
from tests.pipeline.pages import Pages, demo, news, readability, sample
from tests.shared import private

REFERENCE = """
import msgspec, sys, trafilatura
bodies = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=list[str])
found = [trafilatura.bare_extraction(body, include_comments=False, fast=%s) for body in bodies]
sys.stdout.buffer.write(msgspec.msgpack.encode([document and document.text for document in found]))
"""
PAGE = f"<html><body><h1>A ferry</h1><p>{'It left before dawn, in fog. ' * 20}</p></body></html>"
DRAWING = "92942238"  # a page with a drawing in its text, for which trafilatura prefers what jusText finds


def reference(bodies: list[str], *, fast: bool) -> list[str]:
    """In a process in which nothing has been made quick."""
    run = subprocess.run(
        [sys.executable, "-c", REFERENCE % fast],
        input=msgspec.msgpack.encode(bodies),
        stdout=subprocess.PIPE,
        check=True,
    )
    return [clean(text or "") for text in msgspec.msgpack.decode(run.stdout, type=list[str | None])]


@pytest.mark.parametrize("engine", ["trafilatura", "trafilatura-fast"])
@pytest.mark.parametrize(
    "sources", [(sample, demo), *private((partial(news, every=5), partial(readability, every=3)))]
)
def test_the_shorter_way_leads_to_the_text_of_trafilatura(engine: str, sources: tuple[Pages, ...]) -> None:
    pages = [page for source in sources for page, _ in source()]
    bodies = [charset.decode(page.body, page.charset) for page in pages]
    expected = reference(bodies, fast=engine == "trafilatura-fast")
    found = [extract_page(msgspec.structs.replace(page, engine=engine)) for page in pages]
    different = [
        page.url
        for page, text, other in zip(pages, found, expected, strict=True)
        if (text.text if text else "") != other
    ]
    assert [url for url in different if DRAWING not in url] == []


def test_pages_in_which_little_is_found() -> None:
    """They take the fallbacks: nothing but lists, tables, links, bare text, data; too short, too little."""
    sentence = "The ferry left the harbour before dawn, and nobody on the quay saw who was at the wheel. "
    bodies = [
        f"<body><ul>{f'<li>{sentence}</li>' * 9}</ul></body>",
        f"<body><table>{f'<tr><td>{sentence}</td><td>{sentence}</td></tr>' * 5}</table></body>",
        f"<body><div>{f'<a href=x>{sentence}</a> ' * 9}</div></body>",
        f"<body>{sentence * 4}<br><br>{sentence * 5}</body>",
        f"<body><div><span>{sentence * 9}</span></div><p>short</p></body>",
        f"<body><div id='comments'><p>{sentence * 9}</p></div></body>",
        f"<body><article><p>{sentence * 4}</p></article>{f'<div><p>{sentence}</p></div>' * 90}</body>",
        "<body><p>short</p></body>",
        "<body></body>",
        "<head><script type='application/ld+json'>"
        f'{{"@type": "Article", "articleBody": "{sentence * 5}"}}</script></head><body><p>no</p></body>',
        f"<body><aside>{sentence}<aside>{sentence}</aside></aside><p>{sentence * 4}</p><nav>no</nav></body>",
    ]
    bodies = [f"<html>{body}</html>" for body in bodies]
    for fast in (False, True):
        trees = [markup.parse(body) for body in bodies]
        found = [main_text.find_text(tree, fast=fast) for tree in trees]
        assert [clean(text or "") for text in found] == reference(bodies, fast=fast)


@pytest.mark.parametrize(
    "pages", [sample, demo, *private(partial(news, every=10), partial(readability, every=10))]
)
def test_title_and_date_are_those_of_trafilatura(pages: Pages) -> None:
    for page, _ in (each for each in pages() if each[1]):
        found = extract_page(page)
        limits = {"original_date": True, "extensive_search": False, "max_date": page.fetched}
        expected = metadata.extract_metadata(
            markup.parse(charset.decode(page.body, page.charset)), page.url, limits
        )
        assert isinstance(found, Text)
        assert (found.title, found.date) == (" ".join((expected.title or "").split()) or None, expected.date)


def test_another_version_of_trafilatura_goes_its_own_way() -> None:
    assert engines.find_text is main_text.find_text, (
        "a version that pipeline.extraction.fast_trafilatura.main_text was not compared with"
    )
    assert "fog" in (engines.find_text_by_trafilatura(markup.parse(PAGE), fast=False) or "")
    assert (
        engines.find_text_by_trafilatura(markup.parse("<html><body><p></p></body></html>"), fast=False)
        is None
    )
