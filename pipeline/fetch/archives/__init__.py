"""WARC files: written by the fetch, and read where others made them."""
