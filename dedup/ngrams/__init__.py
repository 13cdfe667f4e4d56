"""n-grams of texts, and their overlap with benchmarks."""
