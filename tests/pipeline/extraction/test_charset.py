"""Bytes to characters: marks, labels, labels that lie, and none."""

import codecs

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.extraction.charset import decode

ENGLISH = "<html><body><p>“It’s naïve”, she said — a café on the Île-de-France charged 5 €.</p></body></html>"
GERMAN = (
    "<html><body><p>Über die Straße fährt ein größeres Gefährt; es hält für müde Gäste.</p></body></html>"
)
RUSSIAN = "<html><body><p>Съешь же ещё этих мягких французских булок, да выпей чаю.</p></body></html>" * 3
JAPANESE = (
    "<html><body><p>いろはにほへと ちりぬるを わかよたれそ つねならむ。漢字も書きます。</p></body></html>" * 3
)


def labelled(text: str, label: str) -> str:
    return text.replace("<html>", f'<html><head><meta charset="{label}"></head>')


@pytest.mark.parametrize(
    ("text", "codec", "label"),
    [
        (ENGLISH, "utf-8", None),
        (ENGLISH, "utf-8", "iso-8859-1"),  # the server's default, which many pages never asked for
        (ENGLISH, "cp1252", None),
        (ENGLISH, "cp1252", "windows-1252"),
        (ENGLISH, "cp1252", "ISO-8859-1"),  # means windows-1252 on the web
        (ENGLISH, "cp1252", "utf-8"),
        (ENGLISH, "cp1252", "no-such-charset"),
        (ENGLISH, "cp1252", "base64"),  # a codec, but not of text
        (GERMAN, "cp1252", None),
        (GERMAN, "iso8859-15", "iso-8859-15"),
        (RUSSIAN, "cp1251", "windows-1251"),
        (RUSSIAN, "koi8-r", "KOI8-R"),
        (RUSSIAN, "cp1251", None),
        (JAPANESE, "shift_jis", "Shift_JIS"),
        (JAPANESE, "euc_jp", '"euc-jp"'),
        (JAPANESE, "iso2022_jp", "iso-2022-jp"),  # all of it ASCII bytes
        (JAPANESE, "gb18030", "gb2312"),
        (ENGLISH, "utf-16-le", None),
        (ENGLISH, "utf-16-be", "utf-8"),
        (JAPANESE, "utf-16-le", None),
    ],
)
def test_page(text: str, codec: str, label: str | None) -> None:
    assert decode(text.encode(codec), label) == text


@pytest.mark.parametrize(
    ("codec", "meta", "label"),
    [
        ("shift_jis", "shift_jis", None),
        ("shift_jis", "x-sjis", "utf-8"),
        ("shift_jis", "shift_jis", "iso-8859-1"),
        ("utf-8", "shift_jis", "euc-jp"),
        ("shift_jis", "utf-8", "shift_jis"),
        ("utf-8", "utf-16", None),  # as a page says that was converted by a careless editor
    ],
)
def test_declared_in_the_page(codec: str, meta: str, label: str | None) -> None:
    text = labelled(JAPANESE, meta)
    assert decode(text.encode(codec), label) == text


@pytest.mark.parametrize("codec", ["shift_jis", "euc_jp", "gb18030", "utf-8"])
def test_another_script_without_a_label_is_not_taken_for_latin(codec: str) -> None:
    letters = [c for c in decode(JAPANESE.encode(codec)) if c.isalpha() and not c.isascii()]
    assert all(ord(letter) >= 0x370 for letter in letters)


@pytest.mark.parametrize(
    ("mark", "codec"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
    ],
)
def test_a_mark_decides(mark: bytes, codec: str) -> None:
    assert decode(mark + JAPANESE.encode(codec), "windows-1252") == JAPANESE


@pytest.mark.parametrize("label", [None, "utf-8", "windows-1252"])
def test_utf8_that_is_cut_or_broken_stays_utf8(label: str | None) -> None:
    body = JAPANESE.encode()
    assert decode(body[:50], label) == body[:50].decode("utf-8", "ignore")
    broken = body[:60] + b"\xff" + body[60:]
    assert decode(broken, label).replace("\ufffd", "") == broken.decode("utf-8", "ignore")


def test_mixed_encodings_lose_only_what_is_broken() -> None:
    body = (JAPANESE * 5).encode() + "café".encode("cp1252") + b"</p>"
    assert decode(body) == JAPANESE * 5 + "caf\ufffd</p>"


@given(st.binary(max_size=200), st.one_of(st.none(), st.text(max_size=12), st.sampled_from(["utf-16", "hz"])))
def test_anything_decodes(body: bytes, label: str | None) -> None:
    assert isinstance(decode(body, label), str)


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff"), min_size=1),
    st.sampled_from(["utf-8", "cp1252", "koi8-r", "shift_jis", "gb18030", "cp1254"]),
)
def test_what_its_label_says_if_it_is_not_utf8_by_chance(text: str, codec: str) -> None:
    body = text.encode(codec, "ignore")
    if codec != "utf-8":
        try:
            body.decode("utf-8")
        except UnicodeDecodeError:
            pass
        else:
            assume(body.isascii())
    assume(not body.startswith((b"\xff\xfe", b"\xfe\xff", codecs.BOM_UTF8)))
    codec = {"shift_jis": "cp932"}.get(codec, codec)  # the superset that browsers read
    assert decode(body, codec) == body.decode(codec)
