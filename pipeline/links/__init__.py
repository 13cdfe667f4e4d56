"""From submissions to links: URLs, candidates, merging, and the partition of a host."""
