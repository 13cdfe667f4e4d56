"""The stages of the pipeline and the commands that run them. `python -m pipeline.crawl --help` is the start."""
