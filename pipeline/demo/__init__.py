"""The demo: a small web that comes with the project, and a dump of submissions that link to it.

    python -m pipeline.crawl --demo

runs the real pipeline over it by HTTP on loopback: some 70 pages of prose in seven layouts under fifteen host
names, with copies and near-copies, six languages besides English, and much of what goes wrong on the web.
plan.csv says what must become of each link (`pipeline.demo.plan`). To look at the web by itself:

    with serve() as web:
        requests.get(f"{web.base}/essays/silence", headers={"Host": "film-notes.example"}).text

and to crawl it with settings of your own:

    with serve() as web:
        overrides = settings(web)     # strings as for --set

The prose was written for this demo by the project's authors, who dedicate it to the public domain (CC0 1.0);
people, places and events in it are invented. Hosts are below .example, which belongs to nobody (RFC 2606).
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.demo.web import Web, serve

__all__ = ["BENCHMARK", "CORPUS", "DUMP", "Web", "prepared", "serve", "settings"]

HERE = Path(__file__).parent
DUMP = HERE / "submissions.ndjson.zst"
BENCHMARK = HERE / "benchmark.jsonl"
CORPUS = "demo-corpus"


def settings(web: Web) -> list[str]:
    """The settings of the demo, as `key=value` strings; everything else is as in a real crawl.

    Spacing and deadline are short because the web is our own and nobody wants to wait. Shards are small so
    that there are several.
    """
    benchmark = {"name": "riddles", "path": str(BENCHMARK), "fields": ["question"]}
    return [
        "fetch.contact=https://demo.example/contact",
        f"fetch.connect_to={json.dumps(web.connect_to)}",
        "fetch.spacing=0.1",
        "fetch.backoff=0.5",
        "fetch.deadline=5.0",
        "links.rows=40",
        f"overlap.benchmarks={json.dumps([benchmark])}",
        "shards.tokens_per_shard=10000",
        "shards.tokens_per_row_group=5000",
    ]


@contextmanager
def prepared(corpus: str | None = None) -> Iterator[tuple[list[str], str, list[str]]]:
    """Serves the web, and yields the submissions files, the corpus (`CORPUS` by default) and the settings."""
    with serve() as web:
        yield [str(DUMP)], corpus or CORPUS, settings(web)
