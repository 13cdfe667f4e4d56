"""The report of a batch."""

from typing import cast

import pytest
from distributed import Client

from pipeline.batch.deferred_hosts import DeferredHosts
from pipeline.batch.progress import Progress
from pipeline.batch.stage import Run
from pipeline.corpus.files import Corpus
from pipeline.corpus.partitions import Table
from pipeline.corpus.schemas import PAGES
from pipeline.report import batch as report
from pipeline.settings import Settings

KEY = "0" * 32


def render(corpus: Corpus) -> str:
    run = Run(corpus, "b", Settings(), cast(Client, None), cast(Progress, None))
    languages = {"documents": {}, "residue": {}, "judged": 0, "bytes": 0}
    return report.render(run, {"fetch": {"ok": 1}}, languages, "<svg></svg>")  # type: ignore[arg-type]


def test_the_hosts_that_were_cut_are_named_with_their_time(corpus: Corpus) -> None:
    table = Table(corpus, "fetched", "b")
    rows = PAGES.empty_table()
    parts = [
        DeferredHosts(300, 2, [("long.test", 290, 8700.0), ("short.test", 10, 10.0)]).facts(),
        DeferredHosts(7, 1, [("<b>.test", 7, 210.0)]).facts(),
        None,
    ]
    table.seal(
        KEY,
        [
            table.commit(n, rows, key=KEY, counts={}, facts={"deferred": part} if part else {})
            for n, part in enumerate(parts)
        ],
    )
    page = render(corpus)
    assert "307 links of 3 hosts did not fit" in page
    order = [
        page.index(text) for text in ("long.test", "2.4 h", "&lt;b&gt;.test", "4 min", "short.test", "10 s")
    ]
    assert order == sorted(order)


def test_without_such_hosts_there_is_no_table(corpus: Corpus) -> None:
    table = Table(corpus, "fetched", "b")
    facts = {"deferred": DeferredHosts().facts()}
    table.seal(KEY, [table.commit(0, PAGES.empty_table(), key=KEY, counts={}, facts=facts)])
    assert "Hosts that were cut" not in render(corpus)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2.0 h")]
)
def test_durations(seconds: float, text: str) -> None:
    assert report.duration(seconds) == text
