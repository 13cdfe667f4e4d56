"""Text against text: near-duplicates and n-gram overlap. Knows nothing of crawling."""
