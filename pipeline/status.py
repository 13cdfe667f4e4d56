"""`webtext status` (`python -m pipeline.status`): what a corpus holds, and what became of a URL and why."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from pipeline import command
from pipeline.batch import funnel
from pipeline.corpus.files import Corpus
from pipeline.corpus.partitions import Table
from pipeline.corpus.schemas import OK
from pipeline.errors import UserError
from pipeline.links import urls
from pipeline.links.placing import partition_of, partition_of_id
from pipeline.report import terminal

DESCRIPTION = "Shows the batches of a corpus, and for each the funnel from submissions to shards."
EPILOG = """\
examples:
  webtext status corpus/
  webtext status corpus/ --json | jq '.funnel[] | select(.stage == "fetch")'
  webtext status corpus/ --url https://example.org/a-page
"""
# stage -> its table, the column of the link's id, and what to show beside the outcome
HISTORY = {
    "links": (
        "links",
        "link_id",
        ("raw_url", "karma", "n_submissions", "submission_ids", "subreddits"),
    ),
    "fetch": ("pages", "doc_id", ("final_url", "status", "content_type", "n_bytes", "detail", "warc")),
    "documents": (
        "documents",
        "doc_id",
        ("title", "language", "language_probability", "runner_up", "n_words"),
    ),
    "near_duplicates": ("duplicates", "doc_id", ("keeper", "keeper_batch", "keeper_url", "similarity")),
    "overlap": ("overlap", "doc_id", ("n_grams", "hits", "benchmarks")),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and prints the answer. Raises UserError."""
    parser = command.parser("status", DESCRIPTION, EPILOG)
    parser.add_argument("corpus", metavar="CORPUS", help="the corpus; any fsspec URL")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.add_argument(
        "--url", metavar="URL", help="show what became of this URL and of links redirected to it"
    )
    arguments = parser.parse_args(argv)
    corpus = Corpus.open(arguments.corpus)
    console = Console()
    if arguments.url:
        found = trace(corpus, arguments.url)
        if arguments.json:
            print(json.dumps(found, indent=1, ensure_ascii=False, default=str))
        else:
            _show_trace(console, found)
        return
    batches = corpus.batches()
    funnels = {name: funnel.funnel(corpus, name) for name in batches}
    if arguments.json:
        listed = [{"name": name, "state": record.get("state")} for name, record in batches.items()]
        rows = [row for name, counts in funnels.items() for row in funnel.rows(name, counts)]
        print(json.dumps({"corpus": corpus.id, "batches": listed, "funnel": rows}, indent=1))
        return
    for name, record in batches.items():
        console.print(terminal.funnel_table(f"{name} ({record.get('state')})", funnels[name]))
    if not batches:
        console.print("no batches yet")


def trace(corpus: Corpus, url: str) -> dict[str, Any]:
    """What became of a URL: `{"url", "link_id", "history": [{"batch", "stage", "reason", …}], "redirected"}`.

    redirected: the links that redirects led to the URL, `[{"batch", "url", "link_id", "reason", "history"}]`,
    with a history where the link was kept for the URL. Reads of each batch one partition of each table, and
    all of `published`; the same again for a link that was kept. Raises UserError if `url` is not a URL.
    """
    canonical = urls.canonical(url)
    if canonical is None:
        raise UserError(f"--url {url}: not an http or https URL")
    link_id = urls.link_id(canonical)
    batches = list(corpus.batches())
    history = [step for batch in batches for step in _steps(corpus, batch, canonical, link_id)]
    redirected = [link for batch in batches for link in _redirected(corpus, batch, link_id)]
    return {"url": canonical, "link_id": link_id, "history": history, "redirected": redirected}


def _redirected(corpus: Corpus, batch: str, link_id: str) -> Iterator[dict[str, Any]]:
    """The other links of a batch whose final URL has this id."""
    table = Table(corpus, "final_urls", batch)
    seal = table.sealed()
    if seal is None:
        return
    rows = table.read(partition_of_id(link_id, len(seal.parts)), ["final_id", "doc_id", "url", "reason"])
    found = rows.filter(pc.and_(pc.equal(rows["final_id"], link_id), pc.not_equal(rows["doc_id"], link_id)))
    for row in found.to_pylist():
        kept = row["reason"] == OK
        history = list(_steps(corpus, batch, row["url"], row["doc_id"])) if kept else []
        link = {"batch": batch, "url": row["url"], "link_id": row["doc_id"], "reason": row["reason"]}
        yield link | {"history": history}


def _steps(corpus: Corpus, batch: str, url: str, link_id: str) -> Iterator[dict[str, Any]]:
    seal = Table(corpus, "links", batch).sealed()
    if seal is None:
        return
    number = partition_of(urls.host(url), len(seal.parts))
    for stage, (name, key, columns) in HISTORY.items():
        table = Table(corpus, name, batch)
        if table.sealed() is None:
            return
        row = _row(table.read(number), key, link_id)
        if row is None:
            return
        shown = {column: row[column] for column in columns if row[column] is not None}
        yield {"batch": batch, "stage": row.get("stage", stage), "reason": row["reason"], **shown}
    published = Table(corpus, "published", batch)
    for part in range(len(seal.parts) if (seal := published.sealed()) else 0):
        if row := _row(published.read(part), "doc_id", link_id):
            yield {"batch": batch, "stage": "shards", "reason": "ok", "shard": row["shard"]}


def _row(table: pa.Table, key: str, value: str) -> dict[str, Any] | None:
    found = table.filter(pc.equal(table[key], value)).slice(0, 1).to_pylist()
    return found[0] if found else None


def _show_trace(console: Console, found: dict[str, Any]) -> None:
    console.print(f"{found['url']}  ({found['link_id']})", soft_wrap=True, highlight=False)
    if not found["history"]:
        console.print("no batch has it as a link" if found["redirected"] else "no batch has seen it")
    _show_history(console, found["history"])
    for link in found["redirected"]:
        line = f"{link['batch']}  {link['reason']}: redirected here from {link['url']}  ({link['link_id']})"
        console.print(line, soft_wrap=True, highlight=False)
        _show_history(console, link["history"])


def _show_history(console: Console, history: Sequence[dict[str, Any]]) -> None:
    for step in history:
        details = {key: value for key, value in step.items() if key not in ("batch", "stage", "reason")}
        shown = "  ".join(f"{key}={value}" for key, value in details.items())
        line = f"{step['batch']}  {step['stage']:<16} {step['reason']:<18} {shown}"
        console.print(line, soft_wrap=True, highlight=False)


if __name__ == "__main__":
    command.execute(main)
