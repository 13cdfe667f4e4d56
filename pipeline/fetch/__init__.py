"""The fetch stage: from links to pages, politely, from a hostile web (see `partition.fetch`)."""

from pipeline.fetch.agent import check
from pipeline.fetch.partition import fetch

__all__ = ["check", "fetch"]
