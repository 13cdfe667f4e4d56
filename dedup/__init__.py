"""Text against text: near-duplicates and n-gram overlap."""

from dedup.minhash.in_memory import near_duplicates

__all__ = ["near_duplicates"]
