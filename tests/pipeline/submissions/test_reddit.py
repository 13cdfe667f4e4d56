"""Reddit through PRAW's real client, against its API on loopback."""

import io
import itertools
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import praw.config
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline import configuration
from pipeline.corpus.files import Corpus
from pipeline.corpus.partitions import Table
from pipeline.corpus.schemas import TIME
from pipeline.errors import UserError
from pipeline.settings import Fetch, Reddit, Settings
from pipeline.submissions import reddit
from pipeline.submissions.records import parse
from pipeline.submissions.reddit_store import Store
from tests.shared import SAMPLE, SHARED, private
from tests.web import reddit as web

FETCH = Fetch(contact="tests@example.org")
OLD = 1_500_000_000.0
PATH = "reddit:news"


def submission(number: int, **changes: Any) -> dict[str, Any]:
    id_ = reddit._base36(number)
    return {
        "id": id_,
        "name": f"t3_{id_}",
        "url": f"https://example.org/{id_}",
        "score": number % 10,
        "subreddit": "news",
        "created_utc": OLD,
        "is_self": False,
        "over_18": False,
    } | changes


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[web.Reddit]:
    """The API; praw.ini points to it and holds the credentials."""
    with web.serve(web.Reddit()) as served:
        ini = tmp_path / "config" / "praw.ini"
        ini.parent.mkdir()
        ini.write_text(
            f"[tests]\noauth_url={served.url}\nreddit_url={served.url}\n"
            f"client_id={web.CLIENT_ID}\nclient_secret={web.CLIENT_SECRET}\n"
            f"[open]\noauth_url={served.url}\nreddit_url={served.url}\n"
        )
        monkeypatch.setenv("XDG_CONFIG_HOME", str(ini.parent))
        monkeypatch.setattr(praw.config.Config, "CONFIG", None)
        yield served


@pytest.fixture(autouse=True)
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What PRAW and we would have slept, in seconds."""
    slept: list[float] = []
    monkeypatch.setattr("prawcore.sessions.time.sleep", slept.append)
    return slept


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus.create(str(tmp_path / "corpus"))


def settings(**changes: Any) -> Reddit:
    return Reddit(**{"site": "tests", "retries": 2, "listings": ["new"], "time_filters": []} | changes)


def collect(
    corpus: Corpus, batch: str = "b", path: str = PATH, **changes: Any
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Reads, and commits the batch; returns rows and counts."""
    reddit.collect(corpus, batch, path, settings(**changes), FETCH)
    counts: Counter[str] = Counter()
    rows = [row for table in Store(corpus, batch).chunks(counts) for row in table.to_pylist()]
    sequence = len(corpus.committed()) + 1
    corpus.write_json(f"batches/{batch}.json", {"state": "committed", "sequence": sequence})
    assert len(rows) == counts["ok"]
    return rows, dict(counts)


def ids(rows: list[dict[str, Any]]) -> list[int]:
    return [int(row["submission_id"], 36) for row in rows]


def recorded() -> list[dict[str, Any]]:
    path = SHARED / "reddit" / "praw_api_submissions.ndjson.zst"
    stream = zstandard.ZstdDecompressor().stream_reader(path.read_bytes(), read_across_frames=True)
    return [json.loads(line) for line in io.TextIOWrapper(stream, encoding="utf-8")]


def sample() -> list[dict[str, Any]]:
    lines = (SAMPLE / "submissions/eras.ndjson").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("source", [sample, *private(recorded)])
def test_objects_by_listing_and_by_scan(
    source: Callable[[], list[dict[str, Any]]], api: web.Reddit, corpus: Corpus
) -> None:
    """The objects of Reddit's API arrive as they do from a dump of the same objects."""
    objects = source()
    api.add(found for found in objects if found["id"].isalnum() and found["id"].isascii())
    rows, counts = collect(corpus, path="reddit:askreddit", listings=["new", "top"], time_filters=["all"])
    of_it = [
        found for found in api.submissions.values() if str(found.get("subreddit")).lower() == "askreddit"
    ]
    assert sum(counts.values()) == 2 * min(1000, len(of_it))
    assert api.asked("/r/askreddit/top")[0]["t"] == "all"

    recent = sorted(int(id_, 36) for id_ in api.submissions)[-300:-1]
    first, last = (reddit._base36(number) for number in (recent[0], recent[0] + 10_000))
    expected: Counter[str] = Counter()
    wanted = []
    for number in range(recent[0], recent[0] + 10_001):
        found = api.submissions.get(reddit._base36(number))
        row = parse(found, "reddit") if found else "no_submission"
        expected[row if isinstance(row, str) else "ok"] += 1
        if not isinstance(row, str):
            wanted.append((row.submission_id, row.url, row.score, row.subreddit, row.is_self))
    rows, counts = collect(corpus, "scan", path="reddit:all", scan=f"{first}-{last}")
    assert counts == dict(+expected)
    columns = ("submission_id", "url", "score", "subreddit", "is_self")
    assert [tuple(row[name] for name in columns) for row in rows] == wanted
    assert len(wanted) >= 1


def test_every_listing_and_search_is_read_to_its_end(api: web.Reddit, corpus: Corpus) -> None:
    api.add(submission(number) for number in range(1, 251))
    rows, counts = collect(
        corpus, listings=["new", "hot", "top"], time_filters=["day", "all"], search=["a query"]
    )
    assert counts == {"ok": 5 * 250}
    assert ids(rows) == 5 * list(range(250, 0, -1))
    assert [asked["t"] for asked in api.asked("/r/news/top")] == 3 * ["day"] + 3 * ["all"]
    assert api.asked("/r/news/search")[0]["q"] == "a query"
    assert api.tokens == 1


def test_a_scan_reads_every_id_and_goes_on_from_batch_to_batch(api: web.Reddit, corpus: Corpus) -> None:
    api.add(submission(number) for number in range(1000, 1500) if number % 7)
    api.submissions[reddit._base36(1100)]["subreddit"] = "other"
    rows, counts = collect(corpus, scan="rs-")  # 1000
    expected = [n for n in range(1000, 1500) if n % 7 and n != 1100]
    assert ids(rows) == expected
    assert counts == {"ok": len(expected), "other_subreddit": 1, "no_submission": 72}
    api.add(submission(number) for number in range(1500, 1600))
    rows, counts = collect(corpus, "c", scan="rs-")
    assert ids(rows) == list(range(1500, 1600))
    rows, counts = collect(corpus, "d", scan="rs-rt")  # an explicit range is read whenever it is asked for
    assert ids(rows) == [1000]
    assert collect(corpus, "e", scan="rs-") == ([], {})  # and does not turn the open one back


def test_an_open_scan_stops_at_what_is_young(api: web.Reddit, corpus: Corpus) -> None:
    now = time.time()
    api.add(submission(1000 + n, created_utc=now - 100 * 3600 + n * 600) for n in range(600))
    rows, counts = collect(corpus, scan="rs-")
    assert ids(rows) == list(range(1000, 1300))  # 52 hours, in whole requests
    assert counts == {"ok": 300}
    assert sum(len(asked["id"].split(",")) for asked in api.asked("/api/info")) == 400


def test_what_is_young_waits_until_its_score_has_settled(api: web.Reddit, corpus: Corpus) -> None:
    now = time.time()
    api.add(submission(1000 + n, created_utc=now - n * 3600, score=1) for n in range(96))
    rows, counts = collect(corpus)
    assert counts == {"ok": 48, "pending": 48}
    assert ids(rows) == list(range(1095, 1047, -1))
    for found in list(api.submissions.values())[:48]:
        found["created_utc"] -= 24 * 3600
        found["score"] = 1000
    del api.submissions[reddit._base36(1047)]
    aged = corpus.path("reddit/b/pending.parquet")
    table = pq.read_table(aged)
    moved = [time_ - 24 * 3600 * 1000 for time_ in table["created"].cast(pa.int64()).to_pylist()]
    pq.write_table(table.set_column(1, "created", pa.array(moved, TIME)), aged)
    rows, counts = collect(corpus, "c", path="reddit:empty")
    assert counts == {"ok": 23, "no_submission": 1}
    assert ids(rows) == list(range(1024, 1047))
    assert {row["score"] for row in rows} == {1000}
    rows, counts = collect(corpus, "d", path="reddit:empty", mature_after=0.0)
    assert ids(rows) == list(range(1000, 1024))
    assert collect(corpus, "e", path="reddit:empty", mature_after=0.0) == ([], {})


@pytest.mark.parametrize("stop", range(1, 5))
def test_an_interrupted_reading_goes_on_at_its_cursor(
    stop: int, api: web.Reddit, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reddit, "CHECKPOINT", 200)
    api.add(submission(number) for number in range(1000, 1700))
    calls = itertools.count(1)
    answer = api.answer

    def failing(path: str, parameters: dict[str, str]) -> web.Answer:
        return web.error(500) if next(calls) >= stop else answer(path, parameters)

    api.answer = failing  # type: ignore[method-assign]
    with pytest.raises(UserError, match=r"server_error.*the same command continues"):
        collect(corpus, scan="rs-10r", retries=0)
    api.answer = answer  # type: ignore[method-assign]
    api.log.clear()
    rows, counts = collect(corpus, scan="rs-10r")
    assert ids(rows) == list(range(1000, 1324))
    assert counts == {"ok": 324}
    assert api.asked("/api/info")[0]["id"].startswith(f"t3_{reddit._base36(1000 + (stop - 1) // 2 * 200)}")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (web.error(403, "private"), "private"),
        (web.error(403, "quarantined"), "quarantined"),
        (web.error(403, "gold_only"), "gold_only"),
        (web.error(403), "forbidden"),
        (web.error(404, "banned"), "banned"),
        (web.error(404), "not_found"),
        (web.error(302, location="https://www.reddit.com/subreddits/search?q=x"), "not_found"),
        (web.error(451), "banned"),
        (web.error(400), "bad_request"),
        (web.error(429, retry_after="3"), "rate_limited"),
        (web.error(429), "rate_limited"),
        (web.error(500), "server_error"),
        (web.error(503), "server_error"),
        (web.error(520), "server_error"),
        ((200, {}, b"<html>down"), "bad_answer"),
        ((200, {}, {"kind": "odd"}), "bad_answer"),
        ((200, {}, []), "bad_answer"),
        ((599, {}, {}), "bad_answer"),
    ],
)
def test_a_refusal_costs_its_listing_and_is_counted(
    answer: web.Answer, reason: str, api: web.Reddit, corpus: Corpus
) -> None:
    api.add(submission(number) for number in range(1, 4))
    api.refused["/r/bad/"] = answer
    _, counts = collect(corpus, path="reddit:bad,news", retries=1)
    assert counts == {reason: 1, "ok": 3}


def test_passing_trouble_costs_nothing(api: web.Reddit, corpus: Corpus, sleeps: list[float]) -> None:
    api.add(submission(number) for number in range(1, 201))
    trouble = [
        web.error(429, retry_after="7"),
        web.error(503),
        web.error(502),
        web.error(500),
        web.error(429),
    ]
    listing = "/r/news/new"
    api.scripted[listing] = [api.answer(listing, {"limit": "100"}), *trouble]
    rows, counts = collect(corpus, backoff=0.01, retries=3)
    assert counts == {"ok": 200}
    assert len(set(ids(rows))) == 200
    assert 7.0 in sleeps
    assert 590.0 in sleeps  # a 429 that says nothing: when the window is over


def test_the_rate_limit_of_the_headers_is_kept(api: web.Reddit, corpus: Corpus, sleeps: list[float]) -> None:
    api.add(submission(number) for number in range(1, 401))
    api.remaining, api.reset = 2, 42
    assert collect(corpus)[1] == {"ok": 400}
    assert any(41 < pause <= 42 for pause in sleeps)


def test_a_token_that_ends_is_renewed(api: web.Reddit, corpus: Corpus) -> None:
    api.add(submission(number) for number in range(1, 201))
    ended = web.error(401, www_authenticate='Bearer realm="reddit", error="invalid_token"')
    api.scripted["/r/news/new"] = [ended]
    assert collect(corpus)[1] == {"ok": 200}
    assert api.tokens == 2


@pytest.mark.parametrize("headers", [{}, {"www_authenticate": 'Bearer realm="r", error="invalid_token"'}])
def test_a_suspended_account_ends_the_run_in_one_line(
    headers: dict[str, str], api: web.Reddit, corpus: Corpus
) -> None:
    api.refused["/"] = web.error(401, **headers)
    with pytest.raises(UserError, match=r"does not accept the credentials.*suspended") as caught:
        collect(corpus)
    assert "\n" not in str(caught.value)
    assert not corpus.exists("reddit/b/state.json")


def test_wrong_credentials(api: web.Reddit) -> None:
    changed = Settings(reddit=settings(client_secret="wrong-but-private"), fetch=FETCH)
    with pytest.raises(UserError, match="does not accept the credentials") as caught:
        reddit.identify(PATH, changed)
    assert "private" not in str(caught.value)


def test_no_credentials(api: web.Reddit) -> None:
    with pytest.raises(UserError, match=r"no credentials for Reddit .*client_id.*praw_client_id"):
        reddit.identify(PATH, Settings(reddit=settings(site="open"), fetch=FETCH))
    with pytest.raises(UserError, match=r"reddit\.site 'nothing'"):
        reddit.identify(PATH, Settings(reddit=settings(site="nothing"), fetch=FETCH))


def test_credentials_from_the_environment(api: web.Reddit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("praw_client_id", web.CLIENT_ID)
    monkeypatch.setenv("praw_client_secret", web.CLIENT_SECRET)
    assert reddit.identify(PATH, Settings(reddit=settings(site="open"), fetch=FETCH))["path"] == PATH


def test_the_request_decides_what_batch_it_is(api: web.Reddit) -> None:
    digests = {
        reddit.identify(path, Settings(reddit=settings(**changes), fetch=FETCH))["digest"]
        for path in (PATH, "reddit:other")
        for changes in ({}, {"limit": 5}, {"scan": "a-"}, {"mature_after": 1.0})
    }
    assert len(digests) == 8
    again = [
        reddit.identify(PATH, Settings(reddit=settings(retries=n), fetch=FETCH))["digest"] for n in (1, 2)
    ]
    assert again[0] == again[1]


def test_credentials_are_in_no_dump() -> None:
    held = Settings(reddit=Reddit(client_id="the-id", client_secret="the-secret"))
    for text in (repr(held), str(held), held.model_dump_json(), json.dumps(held.reddit.identity())):
        assert "the-id" not in text
        assert "the-secret" not in text
    with pytest.raises(UserError, match=r"reddit\.client_secret.*quote it") as caught:
        configuration.load(None, ["reddit.client_secret=12345"])
    assert "12345" not in str(caught.value)


@pytest.mark.parametrize("name", ["r/news", "a", "", "news,pics", "é" * 5, "x" * 22])
def test_what_is_no_subreddit(name: str) -> None:
    with pytest.raises(UserError, match="--reddit"):
        reddit.source([name])


def test_names_are_known_in_any_case() -> None:
    assert reddit.source(["News", "news", "u_someone"]) == "reddit:news,u_someone"


@given(st.integers(0, 36**9))
def test_base_36(number: int) -> None:
    assert int(reddit._base36(number), 36) == number


def test_the_command_reads_reddit(api: web.Reddit, tmp_path: Path, capsys: Any) -> None:
    api.add(submission(number) for number in range(1000, 1300))
    corpus = tmp_path / "corpus"
    options = ["reddit.site=tests", "reddit.scan=rs-", "fetch.contact=tests@example.org", "cluster.workers=1"]
    arguments = ["--reddit", "all", "--corpus", str(corpus), "--batch", "b", "--until", "links"]
    from pipeline import crawl

    crawl.main([*arguments, *(part for option in options for part in ("--set", option))])
    table = Table(Corpus.open(str(corpus)), "links", "b")
    assert table.read(0).num_rows == 300
    stored = b"".join(path.read_bytes() for path in corpus.rglob("*") if path.is_file())
    assert web.CLIENT_SECRET.encode() not in stored
    shown = capsys.readouterr()
    assert web.CLIENT_SECRET not in "".join(shown)
    assert re.search(r"^reddit: 2 readings in .* s  [\d,]+/s  ok 300$", shown.err, re.MULTILINE)
