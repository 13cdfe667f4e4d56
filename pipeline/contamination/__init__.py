"""Contamination: which n-grams of benchmarks are in a training set, where, and what is done about it.

As in section 4 of the GPT-2 paper: 8-grams of GPT-2 tokens, and a Bloom filter of the training set for later.
In the order of the work:

    test_sets        benchmarks, their own training splits, and samples of a model, read from files
    index            the n-grams of all of them, exact
    scan             documents of a partition against the index, with the matching passages as evidence
    decontamination  the policies `report`, `drop` and `cut` for documents that have too much in common
    bloom_filter     the n-grams of a batch's training documents, kept with the corpus
    stored           what the stage `overlap` keeps in the corpus between its tasks
    training_set     the same questions put to files, to filters, or to the documents of committed batches
    assemble         from n-grams and evidence to the data of the report
    report           that data, and its JSON
    render           the report as HTML, Markdown, and a table on the terminal
    examine          a whole report on any training set
    command          `python -m pipeline.contamination`

`pipeline.stages.overlap` runs this over a batch on Dask.
"""
