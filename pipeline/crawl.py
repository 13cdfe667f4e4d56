"""`webtext crawl` (`python -m pipeline.crawl`): one batch through all stages, from submissions to shards."""

import argparse
from collections.abc import Sequence

from pipeline import command, configuration
from pipeline.batch import cluster, funnel
from pipeline.errors import UserError
from pipeline.settings import Settings

DESCRIPTION = """\
Builds one batch of a WebText-style corpus: fetches the links of Reddit submissions that cleared a karma
threshold, extracts, cleans and de-duplicates their text, checks it against benchmarks, and tokenizes it.
The same command continues an interrupted batch, and leaves a committed one as it is.
"""
EPILOG = """\
examples:
  webtext crawl --demo
  webtext crawl --submissions RS_2017-12.zst --corpus corpus/ --set fetch.contact=you@example.org
  webtext crawl --submissions s3://dumps/RS_2017-12.zst --corpus s3://bucket/corpus \\
      --batch 2017-12 --scheduler tcp://10.0.0.1:8786 --config dask_config.yaml
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and runs the batch. Raises UserError."""
    arguments = _parser().parse_args(argv)
    overrides = command.overrides(arguments)
    if arguments.demo:
        from pipeline import demo

        with demo.prepared(arguments.corpus) as (files, corpus, demo_overrides):
            settings = configuration.load(arguments.config, [*demo_overrides, *overrides])
            _run(arguments, settings, files, corpus, "demo")
        return
    if not (arguments.submissions or arguments.reddit or arguments.pages) or not arguments.corpus:
        raise UserError(
            "--submissions FILE..., --reddit NAME... or --pages WARC..., and --corpus DIR are needed "
            "(or --demo); see --help"
        )
    settings = configuration.load(arguments.config, overrides)
    _run(arguments, settings, arguments.submissions or [], arguments.corpus, arguments.batch)


def _run(
    arguments: argparse.Namespace, settings: Settings, files: Sequence[str], corpus: str, batch: str | None
) -> None:
    if not arguments.dry_run:
        cluster.prepare(settings.cluster)
    from pipeline.stages import chain

    sources = chain.sources(files, arguments.reddit or [], arguments.pages or [])
    name = batch or chain.batch_name(sources)
    chain.crawl(sources, corpus, name, settings, arguments.until, arguments.dry_run, arguments.retry)


def _parser() -> argparse.ArgumentParser:
    parser = command.parser("crawl", DESCRIPTION, EPILOG)
    parser.add_argument(
        "--submissions",
        nargs="+",
        metavar="FILE",
        help="Pushshift or Arctic Shift dumps (.zst .zst_blocks .xz .bz2 .gz .ndjson .parquet), or lists of "
        "URLs (.csv .tsv .parquet .txt) with an optional score; any fsspec URL",
    )
    parser.add_argument(
        "--reddit",
        nargs="+",
        metavar="NAME",
        help="subreddits to read through Reddit's API, or 'all'; the settings `reddit` say what to read, "
        "and where the credentials are",
    )
    parser.add_argument(
        "--pages",
        nargs="+",
        metavar="WARC",
        help="WARC files (Common Crawl's too) that pages are taken from, in place of the network; without "
        "--submissions and --reddit, every page in them is a link",
    )
    parser.add_argument("--corpus", metavar="DIR", help="the corpus, made if there is none; any fsspec URL")
    parser.add_argument(
        "--batch", metavar="NAME", help="name of the batch; by default made from that of the first file"
    )
    parser.add_argument(
        "--until",
        metavar="STAGE",
        choices=funnel.STAGES,
        help="stop after this stage (%(choices)s); the same command without --until goes on from there",
    )
    parser.add_argument(
        "--retry",
        nargs="*",
        metavar="OUTCOME",
        help="before the batch is committed, fetch the links again that ended so (timeout, http_5xx, "
        "deferred, …); without names, all that failed for reasons that may pass",
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be done, and write nothing")
    parser.add_argument(
        "--demo",
        action="store_true",
        help="crawl the small web that comes with the project, on loopback, into demo-corpus/ or --corpus",
    )
    command.add_settings(parser)
    return parser


if __name__ == "__main__":
    command.execute(main)
