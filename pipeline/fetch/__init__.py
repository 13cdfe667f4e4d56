"""The fetch stage: from links to pages, politely, from a hostile web (see `partition.fetch`)."""

from pipeline.fetch.partition import check, fetch

__all__ = ["check", "fetch"]
