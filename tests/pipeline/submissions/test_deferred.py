"""Links that a batch had no time for are asked for by the next."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.corpus.files import Corpus
from pipeline.corpus.partitions import Table
from pipeline.corpus.schemas import LINKS, PAGES, SUBMISSIONS
from pipeline.fetch.outcome import TRANSIENT, UNTRIED
from pipeline.links import candidates as sifting
from pipeline.settings import Links
from pipeline.stages import links
from pipeline.submissions import deferred

KEY = "0" * 32


def commit(
    corpus: Corpus, batch: str, outcomes: dict[str, str], inputs: Sequence[dict[str, str]] = ()
) -> pa.Table:
    """A batch of links with these outcomes of fetching, by host; two submissions each."""
    rows: list[dict[str, Any]] = [
        {
            "submission_id": f"{host}{n}",
            "url": f"http://{host}.org/x?b=2&a=1",
            "score": 5 - n,
            "origin": "reddit",
        }
        | {"subreddit": f"sub{n}", "created": n + 1, "is_self": False, "over_18": False}
        for host in outcomes
        for n in range(2)
    ]
    rows.append(rows[0] | {"submission_id": "", "url": "http://listed.org/", "score": None, "origin": "list"})
    found, _ = sifting.candidates(pa.Table.from_pylist(rows, schema=SUBMISSIONS), Links())
    merged, _ = links.merge(found, None, Links())
    reasons = [outcomes.get(host.split(".")[0], "deferred") for host in merged["host"].to_pylist()]
    pages = [
        {"doc_id": link_id, "url": url, "reason": reason}
        for link_id, url, reason in zip(
            merged["link_id"].to_pylist(), merged["url"].to_pylist(), reasons, strict=True
        )
    ]
    counts = {"fetch": dict(Counter(reasons))}
    for name, table in (("links", merged), ("pages", pa.Table.from_pylist(pages, schema=PAGES))):
        target = Table(corpus, name, batch)
        target.seal(KEY, [target.commit(0, table, key=KEY, counts=counts if name == "pages" else {})])
    sequence = len(corpus.committed()) + 1
    record = {"state": "committed", "sequence": sequence, "inputs": list(inputs)}
    corpus.write_json(f"batches/{batch}.json", record)
    return merged


def test_what_was_deferred_comes_back_as_it_was(tmp_path: Path) -> None:
    corpus = Corpus.create(str(tmp_path / "corpus"))
    assert deferred.source(corpus) is None
    before = commit(corpus, "one", {"late": "deferred", "done": "ok", "gone": "http_4xx"})
    source = deferred.source(corpus)
    assert source is not None
    assert (source["path"], source["bytes"]) == ("deferred:one", 2)
    counts: Counter[str] = Counter()
    tables = list(deferred.submissions(corpus, source["path"], counts))
    assert counts == {"ok": 3}
    found, dropped = sifting.candidates(pa.concat_tables(tables), Links())
    after, _ = links.merge(found, None, Links())
    assert not dropped
    kept = [row for row in before.to_pylist() if row["host"] in ("late.org", "listed.org")]
    assert after.schema == LINKS
    assert after.to_pylist() == kept
    assert {row["karma"] for row in kept} == {5, None}


def test_only_the_last_batch_is_asked(tmp_path: Path) -> None:
    """What it deferred of an earlier one is among its own."""
    corpus = Corpus.create(str(tmp_path / "corpus"))
    commit(corpus, "one", {"late": "deferred"})
    commit(corpus, "two", {"later": "deferred", "late": "ok"})
    source = deferred.source(corpus)
    assert source is not None
    assert source["path"] == "deferred:two"


def test_what_may_pass_is_asked_for_once_more(tmp_path: Path) -> None:
    """By the batch after; what fails again is left."""
    corpus = Corpus.create(str(tmp_path / "corpus"))
    commit(corpus, "one", {"down": "robots_unreachable", "gone": "http_4xx", "listed": "ok"})
    assert hosts(corpus) == {"down.org"}
    commit(
        corpus, "two", {"down": "timeout", "new": "host_failing", "gone": "dns_error", "listed": "deferred"}
    )
    assert hosts(corpus) == {"new.org", "gone.org", "listed.org"}
    commit(corpus, "three", {"new": "no_network", "gone": "tls_error", "listed": "ok"})
    assert hosts(corpus) == {"new.org"}
    commit(corpus, "four", {"new": "ok", "listed": "ok"})
    assert deferred.source(corpus) is None


@pytest.mark.parametrize("reason", sorted(TRANSIENT | UNTRIED))
def test_each_reason_that_may_pass(reason: str, tmp_path: Path) -> None:
    corpus = Corpus.create(str(tmp_path / "corpus"))
    commit(corpus, "one", {"down": reason, "fine": "ok", "listed": "empty_body"})
    assert hosts(corpus) == {"down.org"}


def test_a_batch_from_warc_files_takes_nothing_away(tmp_path: Path) -> None:
    """It asks for no link: what the batch before it left waits for the next."""
    corpus = Corpus.create(str(tmp_path / "corpus"))
    commit(corpus, "one", {"late": "deferred", "down": "timeout", "listed": "ok"})
    commit(corpus, "two", {"old": "http_5xx", "listed": "not_captured"}, inputs=[{"path": "warc:a.warc.gz"}])
    assert hosts(corpus) == {"late.org", "down.org"}
    commit(corpus, "three", {"late": "deferred", "down": "timeout", "listed": "ok"})
    assert hosts(corpus) == {"late.org"}


def hosts(corpus: Corpus) -> set[str]:
    """Of the links that the next batch gets from the last."""
    source = deferred.source(corpus)
    assert source is not None
    tables = deferred.submissions(corpus, source["path"], Counter())
    return {row["url"].split("/")[2] for table in tables for row in table.to_pylist()}
