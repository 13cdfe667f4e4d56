import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.corpus.files import Corpus
from pipeline.demo import web
from tests.pipeline import pages
from tests.pipeline.end_to_end import crawling
from tests.web import recorded


@pytest.fixture(scope="module")
def demo_web() -> Iterator[web.Web]:
    with web.serve() as running:
        yield running


@pytest.fixture(scope="session")
def demo_corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The demo's web crawled by the command with two workers. Read only: all processes share it."""

    def make(directory: Path) -> None:
        with web.serve() as served:
            crawling.run(crawling.of_demo(served, directory / "corpus", "--set", "cluster.workers=2"))
        agents = sorted({request.user_agent for request in served.log})
        (directory / "agents.json").write_text(json.dumps(agents))

    return Corpus.open(str(crawling.once(tmp_path_factory, "demo", make) / "corpus"))


@dataclass(frozen=True)
class Served:
    """Pages on loopback, and a list of their URLs."""

    base: str
    urls: Path
    pages: dict[str, bytes]


@pytest.fixture(scope="session")
def sample_web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The sample's pages and the demo's, served without delay."""
    bodies = {page.url: page.body for source in (pages.sample, pages.demo) for page, _ in source()}
    urls = tmp_path_factory.mktemp("sample") / "urls.txt"
    urls.write_text("".join(f"{url}\n" for url in bodies), encoding="utf-8")
    with recorded.serve(bodies) as base:
        yield Served(base, urls, bodies)


@pytest.fixture(scope="session")
def sample_corpus(sample_web: Served, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """These pages crawled as batch `one`. Read only: all processes of the run share it."""

    def make(directory: Path) -> None:
        crawling.run_here(crawling.of_pages(sample_web.base, sample_web.urls, directory / "corpus"))

    return Corpus.open(str(crawling.once(tmp_path_factory, "one", make) / "corpus"))
