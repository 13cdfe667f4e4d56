"""The hosts whose queues did not fit into the time of a batch, and how long they would take."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["DeferredHosts"]

LISTED = 20  # hosts that are named


@dataclass(frozen=True)
class DeferredHosts:
    """What was left of some queues: of a partition, for its manifest, or of a batch.

    links: deferred ones. hosts: that they belong to. longest: the LISTED longest queues, each as host, its
    links, and the seconds that these take at the spacing of the host.
    """

    links: int = 0
    hosts: int = 0
    longest: list[tuple[str, int, float]] = field(default_factory=list)

    @classmethod
    def of(cls, pages: pa.Table, spacing: Callable[[str], float]) -> "DeferredHosts":
        """Those of rows of `schemas.PAGES`. spacing: seconds between two requests to a host."""
        urls = pages.filter(pc.equal(pages["reason"], "deferred"))["final_url"].to_pylist()
        queues = Counter(urlsplit(url).hostname or "" for url in urls)
        queue = [(host, links, links * spacing(host)) for host, links in queues.items()]
        return cls(len(urls), len(queues), _longest(queue))

    @classmethod
    def merge(cls, facts: Iterable[Mapping[str, Any]]) -> "DeferredHosts":
        """Those of a batch, from the `facts` of its partitions: a host is in one, but for redirects."""
        parts = [cls(**fact) for fact in facts]
        queue = [(host, links, seconds) for part in parts for host, links, seconds in part.longest]
        return cls(sum(part.links for part in parts), sum(part.hosts for part in parts), _longest(queue))

    def facts(self) -> dict[str, Any]:
        """For a manifest, ready for JSON."""
        return asdict(self)


def _longest(queues: Iterable[tuple[str, int, float]]) -> list[tuple[str, int, float]]:
    return sorted(queues, key=lambda queue: (-queue[2], -queue[1], queue[0]))[:LISTED]
