"""Tokens on disk: tokenizer, writer, reader. Knows nothing of crawling or de-duplication."""
