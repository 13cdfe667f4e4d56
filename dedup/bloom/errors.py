"""The error of this package."""

__all__ = ["BloomFilterError"]


class BloomFilterError(ValueError):
    """What a Bloom filter cannot be made from, hold, be asked, or be joined with; or a file that is none."""
