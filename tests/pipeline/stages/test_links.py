import random
from collections import Counter
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import demo
from pipeline.corpus.schemas import LINKS, SUBMISSIONS
from pipeline.links import urls
from pipeline.links.candidates import CANDIDATES, candidates
from pipeline.links.merge import merge
from pipeline.settings import Links
from pipeline.submissions.sources import read
from tests.shared import SAMPLE, SHARED, private

DAY = datetime(2014, 9, 1, tzinfo=UTC)
LATER = datetime(2015, 9, 1, tzinfo=UTC)
URL = "http://example.com/a"
SETTINGS = Links()
IDS = count()


def submission(url: str | None = URL, score: int | None = 5, **fields: Any) -> dict[str, Any]:
    usual = {
        "submission_id": f"{next(IDS):x}",
        "origin": "reddit",
        "subreddit": "news",
        "created": DAY,
        "is_self": False,
        "over_18": False,
    }
    return {"url": url, "score": score, **usual, **fields}


def table(*submissions: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(submissions), schema=SUBMISSIONS)


def links(
    *submissions: dict[str, Any], settings: Links = SETTINGS, earlier: pa.Table | None = None
) -> tuple[list[dict[str, Any]], Counter[str]]:
    found, dropped = candidates(table(*submissions), settings)
    merged, counts = merge(found, earlier, settings)
    assert found.schema == CANDIDATES
    assert merged.schema == LINKS
    assert (dropped + counts).total() == len(submissions)
    return merged.to_pylist(), dropped + counts


# One link


def test_one_row_a_canonical_url_with_all_its_submissions() -> None:
    rows, counts = links(
        submission(
            "http://example.com/a?utm_source=x", 3, submission_id="c", subreddit="news", created=LATER
        ),
        submission("http://EXAMPLE.com/a#top", 9, submission_id="a", subreddit="world", created=LATER),
        submission("http://example.com:80/a", 0, submission_id="b", subreddit="news"),
    )
    assert counts == {"ok": 1, "same_url": 2}
    assert rows == [
        {
            "link_id": urls.link_id(URL),
            "url": URL,
            "raw_url": "http://EXAMPLE.com/a#top",
            "host": "example.com",
            "karma": 9,
            "submission_ids": ["a", "b", "c"],
            "subreddits": ["news", "world"],
            "first_seen": DAY,
            "over_18": False,
            "n_submissions": 3,
            "reason": "ok",
        }
    ]


def test_the_raw_url_is_the_best_then_the_earliest_then_the_smallest_id() -> None:
    def raw(*submissions: dict[str, Any]) -> str:
        (row,), _ = links(*submissions)
        return str(row["raw_url"])

    a, b, c = (f"{URL}#{name}" for name in "abc")
    assert raw(submission(a, 5), submission(b, 7), submission(c, None)) == b
    assert (
        raw(submission(a, 5, created=LATER), submission(b, 5, created=DAY), submission(c, 5, created=None))
        == b
    )
    assert raw(*(submission(u, submission_id=i) for u, i in ((a, "3"), (b, "1"), (c, "2")))) == b


def test_the_raw_url_can_be_requested() -> None:
    (row,), _ = links(submission(" example.com/?b=two words&amp;a=1 "))
    assert row["raw_url"] == "http://example.com/?b=two%20words&a=1"
    assert row["url"] == "http://example.com/?a=1&b=two+words"


@pytest.mark.parametrize(
    ("rule", "karma", "reason"),
    [("max", 2, "below_threshold"), ("any", 2, "below_threshold"), ("sum", 4, "ok")],
)
def test_karma_rules(rule: Literal["max", "sum", "any"], karma: int, reason: str) -> None:
    settings = Links(karma_rule=rule)
    (row,), counts = links(
        submission(score=2), submission(score=2), submission(score=None), settings=settings
    )
    assert (row["karma"], row["reason"]) == (karma, reason)
    assert counts == ({"ok": 1, "same_url": 2} if reason == "ok" else {reason: 3})


def test_the_threshold_is_included() -> None:
    assert links(submission(score=3))[1] == {"ok": 1}
    assert links(submission(score=2))[1] == {"below_threshold": 1}
    assert links(submission(score=-3), settings=Links(min_karma=-3))[1] == {"ok": 1}


def test_links_without_scores() -> None:
    listed = submission(score=None, origin="list", submission_id="")
    (row,), counts = links(listed, listed)
    assert (row["karma"], row["n_submissions"], row["submission_ids"]) == (None, 2, [])
    assert counts == {"ok": 1, "same_url": 1}
    assert links(submission(score=None))[1] == {"no_score": 1}
    assert links(submission(score=None), submission(score=1))[1] == {"below_threshold": 2}
    assert links(submission(score=None), listed, submission(score=1))[1] == {"ok": 1, "same_url": 2}
    assert links(submission(score=1, origin="list"))[1] == {"below_threshold": 1}


def test_a_submission_that_comes_twice_counts_once() -> None:
    early, late = (submission(score=score, submission_id="a") for score in (1, 2))
    (row,), counts = links(early, late, early, settings=Links(karma_rule="sum"))
    assert (row["karma"], row["n_submissions"], row["reason"]) == (2, 1, "below_threshold")
    assert counts == {"below_threshold": 1, "repeated_submission": 2}
    assert links(early, late, submission(score=1), settings=Links(karma_rule="sum"))[1]["ok"] == 1


def test_over_18() -> None:
    (row,), counts = links(submission(over_18=True), submission(), submission(over_18=None))
    assert (row["over_18"], row["reason"]) == (True, "over_18")
    assert counts == {"over_18": 3}
    (row,), counts = links(submission(over_18=True), settings=Links(over_18=True))
    assert (row["over_18"], row["reason"]) == (True, "ok")


def test_links_of_earlier_batches() -> None:
    earlier = pa.table({"link_id": [urls.link_id(URL)]})
    other = submission("http://example.com/b")
    assert links(submission(), submission(), other, earlier=earlier)[1] == {"in_earlier_batch": 2, "ok": 1}
    assert links(submission(score=0), earlier=earlier)[1] == {"below_threshold": 1}
    large = earlier.cast(pa.schema([("link_id", pa.large_string())]))
    assert links(submission(), earlier=large)[1] == {"in_earlier_batch": 1}
    assert links(submission(), earlier=earlier.slice(0, 0))[1] == {"ok": 1}


# Which have a row


def test_what_has_no_row() -> None:
    rows, counts = links(
        submission(is_self=True),
        submission("ftp://example.com/"),
        submission("not a url"),
        submission(None),
        submission(is_self=None),
    )
    assert counts == {"self_post": 1, "bad_url": 3, "ok": 1}
    assert len(rows) == 1


def test_rejected_urls_keep_their_row_and_their_first_reason() -> None:
    posted = {
        "https://www.reddit.com/r/news/": "reddit_internal",
        "http://imgur.com/a": "media_host",
        "http://example.com/a.jpg": "media_extension",
        "http://en.wikipedia.org/wiki/A": "wikipedia",
        "http://twitter.com/a": "social_host",
        "http://sub.example.org/a": "excluded_domain",
    }
    settings = Links(exclude_domains=["example.org"])
    rows, counts = links(*(submission(url, 0, over_18=True) for url in posted), settings=settings)
    assert {row["raw_url"]: row["reason"] for row in rows} == posted
    assert counts == dict.fromkeys(posted.values(), 1)


def test_nothing() -> None:
    assert links() == ([], Counter())
    assert links(submission(is_self=True)) == ([], {"self_post": 1})


def test_a_table_without_text_in_its_optional_columns() -> None:
    (row,), _ = links(submission(submission_id=None, subreddit=None, created=None))
    assert (row["submission_ids"], row["subreddits"], row["first_seen"]) == ([], [], None)


# All of them

SUBMISSION = st.builds(
    submission,
    url=st.sampled_from(
        [
            *(
                f"http://{host}/{path}"
                for host in ("a.example", "b.example")
                for path in ("", "?b&a", "?a&b", "x#y")
            ),
            *("a.example", "http://imgur.com/a", "http://a.example/a.jpg", "ftp://a.example", "", None),
        ]
    ),
    score=st.none() | st.integers(-3, 6),
    submission_id=st.sampled_from(["", *"abcdefgh"]),
    origin=st.sampled_from(["reddit", "reddit", "list"]),
    subreddit=st.sampled_from(["news", "world", ""]),
    created=st.sampled_from([DAY, LATER, None]),
    is_self=st.sampled_from([False, False, False, True, None]),
    over_18=st.sampled_from([False, False, False, True, None]),
)
CHOSEN = st.builds(
    Links,
    karma_rule=st.sampled_from(["max", "sum", "any"]),
    over_18=st.booleans(),
    exclude_domains=st.sampled_from([[], ["b.example"]]),
)


@given(st.lists(SUBMISSION, max_size=25), CHOSEN, st.randoms(use_true_random=False))
def test_every_submission_has_one_outcome_whatever_the_order(
    submissions: list[dict[str, Any]], settings: Links, shuffled: random.Random
) -> None:
    earlier = pa.table({"link_id": [urls.link_id("http://a.example/")]})
    found, dropped = candidates(table(*submissions), settings)
    merged, counts = merge(found, earlier, settings)
    assert (dropped + counts).total() == len(submissions)
    assert all(n > 0 for n in (dropped + counts).values())

    ids = merged["link_id"].to_pylist()
    assert ids == sorted(set(ids)) == sorted(set(found["link_id"].to_pylist()))
    kept = merged.filter(pc.equal(merged["reason"], "ok"))
    assert counts["ok"] == kept.num_rows
    assert counts["same_url"] == (pc.sum(kept["n_submissions"]).as_py() or 0) - kept.num_rows
    assert pc.sum(merged["n_submissions"]).as_py() in (None, found.num_rows - counts["repeated_submission"])
    for row in merged.to_pylist():
        assert urls.canonical(row["raw_url"]) == row["url"]
        assert row["submission_ids"] == sorted(set(row["submission_ids"]))
        assert row["subreddits"] == sorted(set(row["subreddits"]))

    order = list(submissions)
    shuffled.shuffle(order)
    cut = len(order) // 2
    parts = [candidates(table(*part), settings) for part in (order[:cut], order[cut:])]
    assert parts[0][1] + parts[1][1] == dropped
    again = merge(pa.concat_tables([part for part, _ in parts]), earlier, settings)
    assert again[0].equals(merged)
    assert again[1] == counts

    by_host = [found.filter(pc.equal(found["host"], host)) for host in pc.unique(found["host"]).to_pylist()]
    pieces = [merge(part, earlier, settings) for part in by_host]
    assert sum((n for _, n in pieces), Counter()) == counts
    together = pa.concat_tables([LINKS.empty_table(), *(part for part, _ in pieces)]).sort_by("link_id")
    assert together.combine_chunks().equals(merged.combine_chunks())


def test_candidates_that_went_through_pandas() -> None:
    found, _ = candidates(
        table(submission(), submission(score=None), submission("http://b.example/")), SETTINGS
    )
    large = {pa.string(): pd.ArrowDtype(pa.large_string())}
    frame = found.to_pandas(types_mapper=lambda kind: large.get(kind, pd.ArrowDtype(kind)))
    assert merge(pa.Table.from_pandas(frame), None, SETTINGS)[0].equals(merge(found, None, SETTINGS)[0])


REDDIT = SHARED / "reddit"


@pytest.mark.parametrize(
    ("paths", "rows", "at_least", "absent"),
    [
        ([SAMPLE / "submissions/eras.ndjson", demo.DUMP], 163, 110, set()),
        *private(
            (
                [
                    *(REDDIT / f"RS_v2_2005-{month}.xz" for month in ("06", "07")),
                    REDDIT / "umbrae_links_sample.ndjson.zst",
                ],
                103_084,
                25_001,
                {"no_score", "repeated_submission", "self_post"},
            )
        ),
    ],
)
def test_whole_dumps(paths: list[Path], rows: int, at_least: int, absent: set[str]) -> None:
    counts: Counter[str] = Counter()
    batches = [batch for path in paths for batch in read(str(path), rows=50_000, counts=counts)]
    submissions = pa.Table.from_batches(batches, schema=SUBMISSIONS)
    found, dropped = candidates(submissions, SETTINGS)
    merged, decided = merge(found, None, SETTINGS)
    assert (dropped + decided).total() == submissions.num_rows == counts["ok"] == rows
    assert absent | set(dropped + decided) == {
        *("no_score", "repeated_submission", "self_post", "ok", "same_url"),
        *("below_threshold", "over_18", "bad_url"),
        *("media_host", "media_extension", "social_host", "reddit_internal", "wikipedia"),
    }
    best: dict[str, int] = {}
    over_18: set[str] = set()
    for row in submissions.filter(pc.invert(submissions["is_self"])).to_pylist():
        if (url := urls.canonical(row["url"])) and not urls.reject(url, SETTINGS):
            best[url] = max(best.get(url, 0), row["score"] or 0)
            over_18.update([url] if row["over_18"] else [])
    expected = {url: karma for url, karma in best.items() if karma >= 3 and url not in over_18}
    kept = merged.filter(pc.equal(merged["reason"], "ok"))
    assert dict(zip(kept["url"].to_pylist(), kept["karma"].to_pylist(), strict=True)) == expected
    assert len(expected) >= at_least
