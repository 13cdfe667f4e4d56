"""What all stages use: partitions and shuffles on Dask, the cluster, kept documents, the funnel, progress."""
