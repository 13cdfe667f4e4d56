"""What people read about a batch and a corpus.

    batch     the report of a batch: an HTML page with the funnel, languages, near-duplicates, settings
    card      the dataset card, README.md of the corpus
    terminal  tables and closing lines on the terminal

The contamination report is in `pipeline.contamination`.
"""
