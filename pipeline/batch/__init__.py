"""What a stage stands on: partitions and runs on Dask, documents kept so far, the funnel, progress."""
