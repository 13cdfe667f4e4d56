"""A Bloom filter over 64-bit hashes."""
