"""trafilatura's own text, found by a shorter way."""
