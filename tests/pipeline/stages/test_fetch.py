"""The stage `fetch`: too many failures stop a batch, and what failed is fetched again."""

import json
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from pipeline import command
from pipeline.batch.progress import Progress
from pipeline.batch.stage import Run
from pipeline.corpus.files import Corpus
from pipeline.corpus.partitions import Table
from pipeline.errors import RunAgain, UserError
from pipeline.fetch.archives.warc import read_body
from pipeline.fetch.outcome import REASONS, TRANSIENT, UNTRIED
from pipeline.settings import Fetch, Settings
from pipeline.stages import chain
from pipeline.stages import fetch as stage
from tests.pipeline.fetching import links, settings, validate
from tests.web import FAULTS, Page, Server, page

KEY = "0" * 32


@pytest.fixture(scope="module")
def client(bucket: str, client: Client) -> Client:
    """Workers that know how to reach the bucket."""
    return client


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def begin(corpus: Corpus, parts: list[list[str]], batch: str = "b") -> None:
    """A batch whose stage `links` is complete."""
    corpus.write_json(f"batches/{batch}.json", {"state": "running", "inputs": []})
    table = Table(corpus, "links", batch)
    facts = {"longest_queue": 1}
    table.seal(
        KEY, [table.commit(n, links(*urls), key=KEY, counts={}, facts=facts) for n, urls in enumerate(parts)]
    )


def run(
    corpus: Corpus, client: Client, fetch: Fetch, retry: frozenset[str] = frozenset()
) -> list[dict[str, Any]]:
    """The rows of `pages` after the stage has run."""
    stage.run(Run(corpus, "b", Settings(fetch=fetch), client, Progress(client), retry))
    return rows(corpus)


def rows(corpus: Corpus) -> list[dict[str, Any]]:
    table = Table(corpus, "pages", "b")
    return [row for number in range(len(table.complete().parts)) for row in table.read(number).to_pylist()]


def quick(url: str, **changes: Any) -> Fetch:
    return settings(connect_to={"*": url}, robots=False, retries=0, **changes)


def test_the_reasons_that_may_pass_are_outcomes() -> None:
    assert REASONS.keys() >= TRANSIENT | UNTRIED
    assert not TRANSIENT & UNTRIED


@pytest.mark.parametrize(
    ("counts", "stops"),
    [
        ({}, False),
        ({"ok": 2, "dns_error": 8}, False),
        ({"ok": 1, "dns_error": 8}, True),
        ({"http_4xx": 100, "dns_error": 8}, False),
        ({"deferred": 100, "timeout": 1}, True),
        ({"deferred": 100}, False),
        ({"no_network": 3}, True),
        ({"ok": 1, "robots_unreachable": 2, "host_failing": 2, "http_5xx": 2, "http_429": 2}, True),
    ],
)
def test_the_share_that_stops_a_batch(counts: dict[str, int], stops: bool) -> None:
    assert bool(stage.too_many_failed(counts, Fetch(max_failed_share=0.8))) == stops
    assert not stage.too_many_failed(counts, Fetch(max_failed_share=1.0))


def test_a_dead_network_stops_the_batch_and_the_same_command_asks_again(
    corpus: Corpus, client: Client
) -> None:
    begin(corpus, [[f"http://h{n}.test/a" for n in range(4)], ["http://other.test/a", "http://other.test/b"]])
    with pytest.raises(RunAgain, match=r"6 of 6 links failed .*connect_error 6"):
        run(corpus, client, quick(closed_port()))
    with pytest.raises(RunAgain, match="6 of 6"):  # still down
        run(corpus, client, quick(closed_port()))
    with Server({"/a": page("<p>a"), "/b": Page(b"", "404 Not Found")}) as server:
        found = run(corpus, client, quick(server.url))
        assert [row["reason"] for row in found] == ["ok"] * 5 + ["http_4xx"]
        assert [int(row["doc_id"], 16) for row in found] == [0, 1, 2, 3, 0, 1]
        asked = len(server.log)
        assert run(corpus, client, quick(server.url)) == found
        assert len(server.log) == asked == 6


def test_only_what_failed_is_fetched_again_into_a_further_warc(
    corpus: Corpus, client: Client, tmp_path: Path
) -> None:
    begin(corpus, [["http://h.test/a", "http://h.test/b", "http://h.test/c"], ["http://good.test/a"]])
    down = Page(FAULTS["reset"])
    with Server({"/a": page("<p>a"), "/b": down, "/c": Page(b"", "500 Oh")}) as server:
        found = run(corpus, client, quick(server.url))
        assert [row["reason"] for row in found] == ["ok", "connection_reset", "http_5xx", "ok"]
        before = found[0], found[2], found[3]
        server.pages["/b"] = page("<p>b")
        server.log.clear()
        found = run(corpus, client, quick(server.url), frozenset({"connection_reset"}))
        assert server.paths() == ["/b"]
    assert [row["reason"] for row in found] == ["ok", "ok", "http_5xx", "ok"]
    assert (found[0], found[2], found[3]) == before
    assert found[1]["warc"] == "part-00000-again-1.warc.gz"
    for row, text in ((found[0], "a"), (found[1], "b"), (found[3], "a")):
        path = corpus.fetch(f"pages/b/warc/{row['warc']}", tmp_path)
        validate(path)
        with path.open("rb") as file:
            assert f"<p>{text}" in read_body(file, row["warc_offset"], row["warc_length"]).body.decode()
    assert Table(corpus, "pages", "b").complete().counts == {"fetch": {"ok": 3, "http_5xx": 1}}
    assert sorted(corpus.names("pages/b/warc")) == [
        "part-00000-again-1.warc.gz",
        "part-00000.warc.gz",
        "part-00001.warc.gz",
    ]


def test_what_is_not_tried_again_keeps_its_outcome(corpus: Corpus, client: Client) -> None:
    begin(corpus, [["http://h.test/a"]])
    with Server({"/a": Page(b"", "500 Oh")}) as server:
        before = run(corpus, client, quick(server.url, max_failed_share=1.0))
        options = quick(server.url, max_failed_share=1.0, batch_time=1e-6)
        assert run(corpus, client, options, frozenset({"http_5xx"})) == before


def test_the_manifests_tell_which_hosts_were_cut(corpus: Corpus, client: Client) -> None:
    begin(corpus, [[*(f"http://h.test/{n}" for n in range(4)), "http://g.test/"], ["ftp://quick.test/"]])
    run(corpus, client, quick(closed_port(), batch_time=1e-6, spacing=25.0))
    first, second = (part.facts["deferred"] for part in Table(corpus, "fetched", "b").complete().parts)
    assert first == {"links": 5, "hosts": 2, "longest": [["h.test", 4, 100.0], ["g.test", 1, 25.0]]}
    assert second == {"links": 0, "hosts": 0, "longest": []}


def test_a_retry_that_is_cut_off_is_finished_by_the_same_command(
    corpus: Corpus, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the table is sealed: what was fetched again stays."""
    begin(corpus, [["http://h.test/a"], ["http://g.test/a"]])
    with pytest.raises(RunAgain):
        run(corpus, client, quick(closed_port()))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with Server({"/a": page()}) as server:
        with monkeypatch.context() as patch:
            patch.setattr(Table, "seal", killed)
            with pytest.raises(KeyboardInterrupt):
                run(corpus, client, quick(server.url))
        assert [row["reason"] for row in run(corpus, client, quick(server.url))] == ["ok", "ok"]
        assert len(server.log) == 2


@pytest.fixture
def urls(tmp_path: Path) -> Path:
    path = tmp_path / "urls.txt"
    path.write_text("http://a.test/a\nhttp://b.test/a\n")
    return path


def crawl(urls: Path, corpus: Path, client: Client, server: str, **others: Any) -> None:
    options = Settings(fetch=quick(server), cluster={"scheduler": client.scheduler.address})  # type: ignore[arg-type]
    chain.crawl([str(urls)], str(corpus), "b", options, **others)


def test_the_command_ends_with_3_and_commits_nothing(
    urls: Path, tmp_path: Path, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = tmp_path / "corpus"
    with pytest.raises(SystemExit) as stop:
        command.execute(lambda: crawl(urls, corpus, client, closed_port()))
    assert stop.value.code == 3
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert "2 of 2 links failed" in line
    assert "give the same command again" in line
    assert json.loads((corpus / "batches/b.json").read_text())["state"] == "running"
    with Server({"/a": page("<p>a")}) as server:
        crawl(urls, corpus, client, server.url)
        assert json.loads((corpus / "batches/b.json").read_text())["state"] == "committed"
        assert Counter(server.paths()) == {"/a": 2}
        with pytest.raises(UserError, match="is committed, and --retry is for one that is not"):
            crawl(urls, corpus, client, server.url, retry=[])


@pytest.mark.parametrize("names", [["ok"], ["timeout", "soon"]])
def test_retry_knows_its_outcomes(names: list[str], urls: Path, tmp_path: Path, client: Client) -> None:
    with pytest.raises(UserError, match=f"--retry {names[-1]}: no such outcome"):
        crawl(urls, tmp_path / "corpus", client, closed_port(), retry=names)
    assert not (tmp_path / "corpus").exists()
