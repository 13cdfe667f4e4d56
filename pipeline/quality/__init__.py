"""Heuristic cleaning of documents: named rules (`rules`) that hold measures (`measures`) against limits."""
