"""Which partition a host belongs to."""

import xxhash

from pipeline.links import urls


def partition_of(host: str, partitions: int) -> int:
    """The partition of links, and of all tables made from them, that holds a host and the rest of its site.

    "www." and the bare host are one web server as a rule: politeness wants them in one place.
    """
    return xxhash.xxh64_intdigest(urls.site(host).encode()) % partitions
