"""What a stage is, and how one is mapped over partitions on Dask."""
