"""The demo's prose as plain texts, for tests that need natural language of known origin."""

from collections import defaultdict
from itertools import combinations

import yaml

from pipeline.demo import content


def texts() -> dict[str, str]:
    """Markdown by `host/slug`; copies of other pages are among them, and texts in six other languages."""
    return {f"{page.host}/{page.slug}": page.body for page in content.pages().values()}


def copies() -> set[frozenset[str]]:
    """Pairs of names whose texts were made from the same page, with few words replaced or none."""
    alike = defaultdict(set)
    for file in (content.HERE / "pages").glob("*/*.md"):
        source = yaml.safe_load(file.read_text(encoding="utf-8").split("---\n", 2)[1]).get("source")
        alike[source or f"{file.parent.name}/{file.stem}"].add(f"{file.parent.name}/{file.stem}")
    return {frozenset(pair) for names in alike.values() for pair in combinations(names, 2)}
