"""Near-duplicates: MinHash signatures, locality-sensitive hashing, clusters."""
