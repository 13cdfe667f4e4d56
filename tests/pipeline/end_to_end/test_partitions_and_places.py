"""The same bytes however the work is cut, and wherever the corpus lies."""

from pathlib import Path

import fsspec
import pytest

from pipeline import status
from pipeline.batch import funnel
from pipeline.corpus.files import Corpus
from pipeline.demo import web
from tests import s3
from tests.pipeline.end_to_end import crawling
from tests.pipeline.end_to_end.conftest import Served


@pytest.mark.parametrize(("workers", "rows"), [(1, 100_000), (4, 20)])
def test_same_bytes_with_other_workers_and_partitions(
    demo_corpus: Corpus, demo_web: web.Web, tmp_path: Path, workers: int, rows: int
) -> None:
    """The one with a single worker stops in between, and goes on."""
    options = crawling.options(f"cluster.workers={workers}", f"links.rows={rows}")
    arguments = crawling.of_demo(demo_web, tmp_path / "corpus", *options)
    if workers == 1:
        begun = crawling.run_here([*arguments, "--until", "links"])
        assert list(funnel.funnel(begun, "demo")) == ["submissions", "links"]
        assert not begun.exists("pages")
    assert crawling.shards(crawling.run_here(arguments)) == crawling.shards(demo_corpus)


def test_a_corpus_in_a_bucket(sample_corpus: Corpus, sample_web: Served, tmp_path: Path) -> None:
    with s3.server(tmp_path):
        fsspec.filesystem("s3").mkdir("bucket")
        arguments = crawling.of_pages(sample_web.base, sample_web.urls, "s3://bucket/corpus")
        remote = crawling.run_here(arguments)
        assert crawling.shards(remote) == crawling.shards(sample_corpus)
        assert status.trace(remote, next(iter(sample_web.pages)))["history"][-1]["stage"] == "shards"
