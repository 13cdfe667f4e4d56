"""Storage: the files of a corpus, tables in partitions, their schemas, and the lock of a run."""
