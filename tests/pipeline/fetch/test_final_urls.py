"""Links that redirects lead to one page: which one is kept."""

import random
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.corpus.schemas import FINAL_URLS, PAGES
from pipeline.fetch.final_urls import PAGES_BY_FINAL_URL, SAME_FINAL_URL, by_final_url, choose, mark
from pipeline.links.urls import link_id


def pages(*rows: dict[str, Any]) -> pa.Table:
    """Rows of PAGES; a page is `ok` and its own final URL unless it says otherwise."""
    usual = [
        {"doc_id": link_id(row["url"]), "final_url": row["url"], "karma": 5, "reason": "ok"} | row
        for row in rows
    ]
    return pa.Table.from_pylist(usual, schema=PAGES)


def chosen(*batches: pa.Table) -> list[dict[str, Any]]:
    rows = [by_final_url(table, number, 7) for number, table in enumerate(batches)]
    names = [f"b{number}" for number in range(len(batches))]
    return list(choose(pa.concat_tables(rows), names).to_pylist())


def kept(*batches: pa.Table) -> dict[str, str]:
    """URL of each row -> URL of its keeper."""
    return {row["url"]: row["keeper_url"] for row in chosen(*batches)}


def redirect(url: str, final: str = "https://c.org/", **fields: Any) -> dict[str, Any]:
    return {"url": url, "final_url": final, **fields}


def test_the_link_whose_own_url_it_is_is_kept() -> None:
    found = kept(pages(redirect("http://a.org/", karma=900), {"url": "https://c.org/", "karma": None}))
    assert found == {"http://a.org/": "https://c.org/"}


def test_else_the_best_karma_then_the_url() -> None:
    a, b, c = (redirect(f"http://{name}.org/", karma=karma) for name, karma in (("a", 3), ("b", 7), ("x", 7)))
    none = redirect("http://0.org/", karma=None)
    assert set(kept(pages(none, c, b, a)).values()) == {"http://b.org/"}


def test_a_page_of_an_earlier_batch_is_kept_whatever_it_has() -> None:
    earlier = pages(redirect("http://a.org/", karma=None))
    later = pages(redirect("http://b.org/", karma=99), {"url": "https://c.org/", "karma": 99})
    rows = chosen(earlier, later)
    assert [(row["url"], row["reason"], row["keeper_url"], row["keeper_batch"]) for row in rows] == [
        (url, SAME_FINAL_URL, "http://a.org/", "b0")
        for url in sorted(["http://b.org/", "https://c.org/"], key=link_id)
    ]


def test_canonical_forms_are_compared() -> None:
    spelled = redirect("http://a.org/", "HTTPS://C.org:443/?utm_source=x#top".replace("HTTPS", "https"))
    assert kept(pages(spelled, {"url": "https://c.org/"})) == {"http://a.org/": "https://c.org/"}
    tracked = {"url": "http://d.org/", "final_url": "http://d.org/?utm_source=x"}
    assert chosen(pages(tracked)) == [], "its own URL as it was posted is no redirect"


def test_only_pages_that_are_ok_drop_others() -> None:
    gone = redirect("http://a.org/", karma=900, reason="http_4xx")
    alone = redirect("http://d.org/", "http://e.org/", reason="robots_disallowed")
    rows = chosen(pages(gone, redirect("http://b.org/"), alone))
    assert {row["url"]: (row["reason"], row["keeper_url"]) for row in rows} == {
        "http://d.org/": ("robots_disallowed", None),
        "http://a.org/": ("http_4xx", None),
        "http://b.org/": ("ok", "http://b.org/"),
    }


def test_the_outcome_is_marked_and_names_the_keeper() -> None:
    table = pages({"url": "http://z.org/", "detail": "as it was"}, redirect("http://a.org/"))
    dropped = pa.Table.from_pylist(
        [row for row in chosen(pages({"url": "https://c.org/"}), table) if row["reason"] == SAME_FINAL_URL],
        schema=FINAL_URLS,
    )
    marked = mark(table, dropped)
    assert marked.schema == PAGES
    assert marked.drop_columns(["reason", "detail"]) == table.drop_columns(["reason", "detail"])
    assert marked.select(["reason", "detail"]).to_pylist() == [
        {"reason": "ok", "detail": "as it was"},
        {"reason": SAME_FINAL_URL, "detail": "https://c.org/ in batch b0"},
    ]
    assert mark(table, dropped.slice(0, 0)) == table


ROWS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.integers(0, 5),
        st.sampled_from([None, 3, 4]),
        st.sampled_from(["ok", "http_4xx"]),
    ),
    max_size=12,
    unique_by=lambda row: row[0],
)


@given(ROWS, ROWS, st.integers(0, 9))
def test_one_is_kept_whatever_the_order_and_the_partitions(
    earlier: list[Any], later: list[Any], seed: int
) -> None:
    url = "http://{}.org/".format
    batches = [
        pages(*(redirect(url(own), url(final), karma=k, reason=r) for own, final, k, r in rows))
        for rows in (earlier, later)
    ]
    together = chosen(*batches)
    rows = pa.concat_tables([by_final_url(batches[0], 0, 0), by_final_url(batches[1], 1, 7)]).to_pylist()
    random.Random(seed).shuffle(rows)
    apart = [
        row
        for remainder in range(3)
        for row in choose(
            pa.Table.from_pylist(
                [row for row in rows if int(row["final_id"], 16) % 3 == remainder], schema=PAGES_BY_FINAL_URL
            ),
            ["b0", "b1"],
        ).to_pylist()
    ]
    order = lambda row: (row["final_id"], row["doc_id"])  # noqa: E731
    assert sorted(apart, key=order) == together == sorted(together, key=order)
    dropped = {row["doc_id"] for row in together if row["reason"] == SAME_FINAL_URL}
    ok = [row for row in batches[1].to_pylist() if row["reason"] == "ok"]
    taken = {row["final_url"] for row in batches[0].to_pylist() if row["reason"] == "ok"}
    redirected = {row["doc_id"] for row in batches[1].to_pylist() if row["final_url"] != row["url"]}
    assert {row["doc_id"] for row in together} == redirected | dropped
    left = [row["final_url"] for row in ok if row["doc_id"] not in dropped]
    assert len(left) == len(set(left))
    assert set(left) == {row["final_url"] for row in ok} - taken
