"""The stages of a batch, one file each, in the order of the chain; the only wiring of Dask."""
