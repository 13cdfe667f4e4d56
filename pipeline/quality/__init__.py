"""Heuristic cleaning of documents.

rules      named rules, each a measure and a limit: the stage's decision
measures   what the rules measure, such as the share of repeated lines
documents  the words, lines and n-grams that the measures are computed from
"""
