"""Whose turn it is to be asked, and how often: robots.txt, spacing, back-off."""
