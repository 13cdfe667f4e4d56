"""The stages of the pipeline and the commands that run them: start with `python -m pipeline.crawl --help`."""
