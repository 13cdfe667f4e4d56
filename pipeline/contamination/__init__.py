"""Overlap of benchmarks with training documents: scanning, policy, the Bloom filter, results and report."""
