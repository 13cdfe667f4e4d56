"""What each quality rule removes from real texts, with examples.

    python -m benchmarks.quality HTML [--pages DIR --every N] [--posts NDJSON_ZST] [--examples N]

HTML: a directory with `news/gold.jsonl` and `readability/*/source.html`. Texts that are English by the stage
`language`: gold (what people marked as the article), what the default engine finds in the same pages and, by
--pages, in every N-th page below a directory; by --posts Reddit's self posts of 50 words and more. Every rule
counts by itself (those for n-grams of several lengths as one), at the limit of its default setting or, where
it is off, of its paper; the last column is what it removes alone, all other default rules passing.
"""

import argparse
import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import zstandard

from benchmarks.extraction import SETS
from pipeline.corpus.schemas import OK
from pipeline.extraction.many_pages import extract_pages
from pipeline.extraction.page import Page
from pipeline.language.detect import identify
from pipeline.quality.documents import Documents
from pipeline.quality.rules import ROWS, RULES
from pipeline.settings import Extract, Language, Quality

OFF = {
    "max_duplicate_lines": 0.3,
    "max_curly_brackets": 0,
    "min_sentences": 3,
    "min_punctuated_lines": 0.12,
    "max_short_lines": 0.67,
}


def gold(html: Path) -> Iterator[str]:
    for read in SETS.values():
        for page in read(html):
            yield page.text


def extracted(pages: Iterator[Page]) -> Iterator[str]:
    for outcome in extract_pages(pages, Extract()):
        if outcome.reason == OK and outcome.value is not None and hasattr(outcome.value, "text"):
            yield outcome.value.text


def same_pages(html: Path) -> Iterator[Page]:
    for read in SETS.values():
        for page in read(html):
            yield Page(page.body, page.url)


def below(directory: Path, every: int) -> Iterator[Page]:
    for path in sorted(directory.rglob("*.html"))[::every]:
        if path.is_file():
            yield Page(path.read_bytes(), f"http://docs.example/{path.name}")


def posts(file: Path) -> Iterator[str]:
    with zstandard.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            text = json.loads(line).get("selftext") or ""
            if len(text.split()) >= 50:
                yield text


def english(texts: Iterator[str]) -> list[str]:
    found = [text for text in texts if text.strip()]
    reasons = identify(found, Language())["reason"].to_pylist()
    return [text for text, reason in zip(found, reasons, strict=True) if reason == OK]


def show(name: str, texts: list[str], examples: int) -> None:
    settings = Quality()
    slices = [texts[start : start + ROWS] for start in range(0, len(texts), ROWS)]
    batches = [Documents(pa.array(part, pa.large_string())) for part in slices]
    broken: dict[str, npt.NDArray[np.bool_]] = {}
    off = set()
    for rule, measure in RULES.items():
        family = re.sub(r"\d+gram", "<n>gram", rule)
        limit = getattr(settings, rule)
        if limit is None:
            limit = OFF[rule]
            off.add(family)
        values = np.concatenate([measure(batch) for batch in batches])
        found = values < limit if rule.startswith("min_") else values > limit
        broken[family] = broken.get(family, False) | found
    number = np.sum([found for family, found in broken.items() if family not in off], axis=0)
    print(f"\n## {name}: {len(texts)} texts, {np.count_nonzero(number)} removed by the default rules\n")
    print("| rule | removes | alone |\n|---|---|---|")
    for family, found in broken.items():
        alone = found & (number == (family not in off))
        print(f"| `{family}`{' (off)' * (family in off)} | {found.sum()} | {alone.sum()} |")
        for place in np.flatnonzero(alone)[:examples]:
            print(f"    {' '.join(texts[place].split())[:160]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("html", type=Path)
    parser.add_argument("--pages", type=Path)
    parser.add_argument("--every", type=int, default=20)
    parser.add_argument("--posts", type=Path)
    parser.add_argument("--examples", type=int, default=2)
    arguments = parser.parse_args()
    print_ = partial(show, examples=arguments.examples)
    print_("gold texts", english(gold(arguments.html)))
    print_("the same pages, extracted", english(extracted(same_pages(arguments.html))))
    if arguments.pages:
        print_("other pages", english(extracted(below(arguments.pages, arguments.every))))
    if arguments.posts:
        print_("posts", english(posts(arguments.posts)))


if __name__ == "__main__":
    main()
