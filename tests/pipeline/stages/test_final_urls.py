"""Redirects from end to end, on a small web: where they lead is judged, and one page is one document."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline import crawl, status
from pipeline.batch import funnel
from pipeline.corpus.files import Corpus
from pipeline.corpus.partitions import Table
from tests.web import Page, Server, page

STORY = (
    "The ferry left the island at seven in the morning, and with it went the last of the summer guests. The"
    " harbour master counted the boats that were still in the water and wrote the number in the book that his"
    " father had kept before him. In the winter there would be four of them, and the sea would have the bay"
    " to itself. He liked that time of the year best of all, because nobody asked him for the weather."
)
OTHER = (
    "Whoever wants to bake bread in an old stone oven has to get up early. The fire needs three hours until"
    " the stones are hot enough, and the dough cannot wait for them. My grandmother put her hand into the"
    " oven and counted slowly; if she came to ten before she had to take it out again, it was time for the"
    " loaves. We have a thermometer now, but the bread that came out of the oven by her count was better."
)
KEPT_OUT = {
    "http://short.example/1": "redirect_excluded_domain",
    "http://short.example/2": "redirect_wikipedia",
    "http://short.example/3": "redirect_media_extension",
}


def moved(location: str) -> Page:
    return Page(b"", "301 Moved Permanently", {"Location": location})


def story(text: str) -> Page:
    return page(f"<!doctype html><html lang=en><title>A story</title><article><p>{text}</p></article>")


WEB: dict[Any, Page] = {
    ("short.example", "/1"): moved("http://www.optout.example/private"),
    ("short.example", "/2"): moved("http://short.example/2/further"),
    ("short.example", "/2/further"): moved("https://en.wikipedia.org/wiki/Ferry"),
    ("short.example", "/3"): moved("/ferry.jpg"),
    ("short.example", "/4"): moved("http://bread.example/oven?utm_source=short"),
    ("short.example", "/5"): moved("https://ferry.example/story"),
    ("tiny.example", "/a"): moved("http://bread.example/oven"),
    ("tiny.example", "/b"): moved("http://short.example/5"),
    ("later.example", "/z"): moved("http://bread.example/oven#end"),
    ("ferry.example", "/story"): story(STORY),
    ("bread.example", "/oven"): story(OTHER),
    ("www.optout.example", "/private"): story(STORY[::-1]),
    ("en.wikipedia.org", "/wiki/Ferry"): story(STORY.upper()),
    ("short.example", "/ferry.jpg"): story(STORY.title()),
}
FIRST = [
    *KEPT_OUT,
    *(f"http://short.example/{number}" for number in (4, 5)),
    *("http://tiny.example/a", "http://tiny.example/b", "https://ferry.example/story"),
]
SECOND = ["http://later.example/z", "http://bread.example/oven", "http://tiny.example/b"]


def build(server: Server, directory: Path, *options: str, batches: Sequence[str] = ("one", "two")) -> Corpus:
    """Two batches of a corpus."""
    for batch in batches:
        urls = {"one": FIRST, "two": SECOND}[batch]
        listed = directory / f"{batch}.txt"
        listed.write_text("\n".join(urls))
        settings = {
            "fetch.contact": "tests@example.org",
            "fetch.connect_to": f'{{"*": "{server.url}"}}',
            "fetch.spacing": 0.0,
            "links.exclude_domains": "[optout.example]",
        }
        overrides = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
        source = ["--submissions", str(listed), "--batch", batch, "--corpus", str(directory / "corpus")]
        crawl.main([*source, *overrides, *options])
    return Corpus.open(str(directory / "corpus"))


def shards(corpus: Corpus) -> dict[str, bytes]:
    root = corpus.path("shards")
    return {path.removeprefix(root): corpus.fs.cat_file(path) for path in sorted(corpus.fs.find(root))}


def pages(corpus: Corpus, batch: str) -> dict[str, dict[str, Any]]:
    table = Table(corpus, "pages", batch)
    rows = [row for n in range(len(table.complete().parts)) for row in table.read(n).to_pylist()]
    return {row["url"]: row for row in rows}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(WEB) as running:
        yield running


@pytest.fixture(scope="module")
def corpus(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """With two workers and two links in a partition."""
    directory = tmp_path_factory.mktemp("many")
    return build(server, directory, "--set", "links.rows=2", "--set", "cluster.workers=2")


def test_no_redirect_leads_around_a_filter(corpus: Corpus, server: Server) -> None:
    found = pages(corpus, "one")
    assert {url: found[url]["reason"] for url in KEPT_OUT} == KEPT_OUT
    assert found["http://short.example/2"]["final_url"] == "http://short.example/2/further"
    hosts = {request.host for request in server.log}
    assert not hosts & {"www.optout.example", "en.wikipedia.org"}
    assert "/ferry.jpg" not in server.paths()


def test_one_page_is_one_document(corpus: Corpus) -> None:
    found = pages(corpus, "one")
    ferry, bread = "https://ferry.example/story", "http://short.example/4"
    reasons = {url: (row["reason"], row["detail"]) for url, row in found.items() if url not in KEPT_OUT}
    assert reasons == {
        ferry: ("ok", None),
        "http://short.example/5": ("same_final_url", f"{ferry} in batch one"),
        "http://tiny.example/b": ("same_final_url", f"{ferry} in batch one"),
        bread: ("ok", None),
        "http://tiny.example/a": ("same_final_url", f"{bread} in batch one"),
    }
    partitions = Table(corpus, "pages", "one").complete().parts
    assert len(partitions) > 2
    second = pages(corpus, "two")
    dropped = ("same_final_url", f"{bread} in batch one")
    assert [(second[url]["reason"], second[url]["detail"]) for url in SECOND[:2]] == [dropped] * 2


def test_the_funnel_is_conserved(corpus: Corpus) -> None:
    one, two = (funnel.funnel(corpus, batch) for batch in ("one", "two"))
    assert one["fetch"] == {"ok": 2, "same_final_url": 3} | dict.fromkeys(KEPT_OUT.values(), 1)
    assert one["shards"] == {"ok": 2}
    assert two["links"] == {"ok": 2, "in_earlier_batch": 1}, "what was dropped is not asked for again"
    assert two["fetch"] == {"same_final_url": 2}
    assert not corpus.exists("pages/one/fetched"), "needed until the commit only"


def test_workers_and_partitions_do_not_matter(corpus: Corpus, server: Server, tmp_path: Path) -> None:
    other = build(server, tmp_path, "--set", "cluster.workers=1")
    assert len(Table(other, "pages", "one").complete().parts) == 1
    assert shards(other) == shards(corpus)
    for batch in ("one", "two"):
        assert funnel.funnel(other, batch) == funnel.funnel(corpus, batch)


def test_what_was_cut_off_is_done_again(corpus: Corpus, server: Server, tmp_path: Path) -> None:
    """As if killed before `final_urls` was complete, and before `pages` was; nothing is fetched again."""
    build(server, tmp_path, "--until", "fetch", batches=["one"])
    asked = len(server.log)
    other = Corpus.open(str(tmp_path / "corpus"))
    other.remove("final_urls/one/_manifests/table.json")
    other.remove("pages/one/index/_manifests/table.json")
    build(server, tmp_path, "--until", "fetch", batches=["one"])
    other.remove("pages/one/index")
    build(server, tmp_path, batches=["one"])
    assert len(server.log) == asked
    assert funnel.funnel(other, "one") == funnel.funnel(corpus, "one")
    kept = {name: data for name, data in shards(corpus).items() if "/one/" in name}
    assert shards(other) == kept


def test_status_finds_a_document_by_its_final_url(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    found = status.trace(corpus, "http://bread.example/oven")
    assert [(step["batch"], step["stage"], step["reason"]) for step in found["history"]] == [
        ("two", "links", "ok"),
        ("two", "fetch", "same_final_url"),
    ]
    came = {(link["batch"], link["url"]): link for link in found["redirected"]}
    assert {key: link["reason"] for key, link in came.items()} == {
        ("one", "http://short.example/4"): "ok",
        ("one", "http://tiny.example/a"): "same_final_url",
        ("two", "http://later.example/z"): "same_final_url",
    }
    histories = {key[1]: [step["stage"] for step in link["history"]] for key, link in came.items()}
    assert histories["http://short.example/4"][-1] == "shards"
    assert histories["http://tiny.example/a"] == []

    status.main([corpus.url, "--url", "http://bread.example/oven#crust"])
    assert "ok: redirected here from http://short.example/4" in capsys.readouterr().out
    status.main([corpus.url, "--url", "http://short.example/2", "--json"])
    assert '"reason": "redirect_wikipedia"' in capsys.readouterr().out
    status.main([corpus.url, "--url", "http://short.example/2/further"])
    shown = capsys.readouterr().out
    assert "no batch has it as a link" in shown
    assert "redirect_wikipedia: redirected here from http://short.example/2" in shown
    status.main([corpus.url, "--url", "http://bread.example/other"])
    assert "no batch has seen it" in capsys.readouterr().out


def test_status_reads_one_partition_of_each_table(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[str, str]] = []
    whole = Table.read

    def counted(table: Table, *arguments: Any, **others: Any) -> Any:
        read.append((table.batch, table.name))
        return whole(table, *arguments, **others)

    monkeypatch.setattr(Table, "read", counted)
    status.trace(corpus, "https://ferry.example/story")
    once = [name for name in read if name[1] != "published"]
    assert len(once) == len(set(once))
    assert ("one", "final_urls") in once
