"""Which partition a host belongs to, in `links` and all tables made from them; or an id, elsewhere."""

import pyarrow as pa
import xxhash

from pipeline.links import urls

__all__ = ["partition_of", "partition_of_id", "partitions_of"]


def partition_of(host: str, partitions: int) -> int:
    """The partition, of so many, that holds a host and the other hosts of its site.

    "www." and the bare host are one web server as a rule: politeness wants them in one partition.
    """
    return xxhash.xxh64_intdigest(urls.site(host).encode()) % partitions


def partitions_of(hosts: pa.ChunkedArray, partitions: int) -> pa.Array:
    """`partition_of` each host, as int64."""
    distinct = hosts.combine_chunks().dictionary_encode()
    numbers = [partition_of(host, partitions) for host in distinct.dictionary.to_pylist()]
    return pa.array(numbers, pa.int64()).take(distinct.indices)


def partition_of_id(link_id: str, partitions: int) -> int:
    """The partition of a table that is placed by ids (`urls.link_id`), as `final_urls` is."""
    return int(link_id[:16], 16) % partitions
