"""Where links come from: Reddit dumps, its API, and lists of URLs made elsewhere."""
