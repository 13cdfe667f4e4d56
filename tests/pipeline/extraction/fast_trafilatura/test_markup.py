"""Parsing against trafilatura's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from trafilatura.utils import load_html

from pipeline.extraction.fast_trafilatura import markup

PIECES = [
    *("<p>", "</p>", "<div class='a'>", "</div>", "<html>", "<html/>", "<html lang='de' />", "</html>", "\n"),
    *("<!DOCTYPE html>", '<!DOCTYPE html "-//W3C//DTD XHTML 1.0//EN">', "<body>", "<br>", "&amp;", "&#0;"),
    *('<meta charset="iso-8859-1">', '<?xml version="1.0" encoding="latin-1"?>', "<!-- no -->", "<![CDATA["),
    *("\0", "\x0b", "\x1f", "\ufffe", "\uffff", "\ufffd", "é", "日本", "𝄞", "text", "<", ">", "\r\n"),
]


def loaded(characters: str) -> bytes | None:
    tree = load_html(characters)
    return None if tree is None else etree.tostring(tree, encoding="utf-8")


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_the_tree_is_that_of_trafilatura(characters: str) -> None:
    tree = markup.parse(characters)
    assert (None if tree is None else etree.tostring(tree, encoding="utf-8")) == loaded(characters)


@pytest.mark.parametrize("characters", ["", " \n", "just text", "\0", "<p>one</p>"])
def test_what_is_no_page(characters: str) -> None:
    assert markup.parse(characters) is None


def test_scripts_and_drawings_are_dropped_and_data_is_kept() -> None:
    tree = markup.parse(
        "<html><head><script>1</script><script type='application/ld+json'>{}</script><style>p</style></head>"
        "<body><p>a<svg><text>no</text></svg>b</p><canvas>c</canvas>d</body></html>"
    )
    assert tree is not None
    assert [script.text for script in tree.iter("script")] == ["{}"]
    assert "".join(tree.find("body").itertext()) == "abd"
