"""Heuristic cleaning of documents."""
