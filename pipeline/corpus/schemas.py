"""The Arrow schema of every table in a corpus.

Every table that a stage writes has one row for each row that it was given, with the outcome in `reason`:
`ok` for what goes on to the next stage, otherwise why it was dropped. The funnel is the count of these.
Identifiers: `link_id` is the hash of a canonical URL (`urls.link_id`, 32 hexadecimal digits); a page
and a document keep the id of the link that they come from, as `doc_id`.
"""

import pyarrow as pa

OK = "ok"
TIME = pa.timestamp("ms", tz="UTC")

SUBMISSIONS = pa.schema(
    [
        ("submission_id", pa.string()),  # Reddit's base-36 id, without the t3_; "" for a line of a URL list
        ("url", pa.string()),  # as posted
        ("score", pa.int64()),  # null where the source has none
        ("origin", pa.string()),  # "reddit", or "list": a null score of a list passes the karma threshold
        ("subreddit", pa.string()),
        ("created", TIME),
        ("is_self", pa.bool_()),
        ("over_18", pa.bool_()),
    ]
)

LINKS = pa.schema(
    [
        ("link_id", pa.string()),
        ("url", pa.string()),  # canonical: decides identity
        ("raw_url", pa.string()),  # as posted in the submission with the best karma: what is fetched
        ("host", pa.string()),  # of the canonical URL: its site (`urls.site`) decides the partition
        ("karma", pa.int64()),  # by the karma rule; null where no submission has a score
        ("submission_ids", pa.list_(pa.string())),  # sorted
        ("subreddits", pa.list_(pa.string())),  # sorted, distinct
        ("first_seen", TIME),
        ("over_18", pa.bool_()),
        ("n_submissions", pa.int32()),
        ("reason", pa.string()),
    ]
)

PAGES = pa.schema(
    [
        ("doc_id", pa.string()),
        ("url", pa.string()),  # canonical
        ("karma", pa.int64()),
        ("final_url", pa.string()),  # after redirects
        ("status", pa.int16()),  # HTTP status of the last response, null if there was none
        ("content_type", pa.string()),  # the media type, lower-case, without parameters
        ("charset", pa.string()),  # as the Content-Type header names it, or null
        ("n_bytes", pa.int64()),  # of the stored body, after content decoding
        ("truncated", pa.bool_()),
        ("fetched", TIME),
        ("seconds", pa.float32()),  # from the first connection to the last byte
        ("detail", pa.string()),  # for people: the exception, the refused address, the header
        (
            "consent",
            pa.list_(pa.string()),
        ),  # what is said of its use, honoured or not; null: nothing
        ("warc", pa.string()),  # file name below pages/<batch>/warc/, null if nothing was stored
        ("warc_offset", pa.int64()),
        ("warc_length", pa.int64()),
        ("reason", pa.string()),
    ]
)

FINAL_URLS = pa.schema(  # pages that a redirect led elsewhere, and those dropped for another; by final_id
    [
        ("final_id", pa.string()),  # `link_id` of the canonical final URL
        ("final_url", pa.string()),  # canonical
        ("doc_id", pa.string()),
        ("url", pa.string()),
        ("partition", pa.int64()),  # of the page
        ("reason", pa.string()),  # of the page: `same_final_url` where another is kept
        ("keeper", pa.string()),  # doc_id of the page that is kept, maybe its own; null where none is ok
        ("keeper_batch", pa.string()),
        ("keeper_url", pa.string()),
    ]
)

DOCUMENTS = pa.schema(
    [
        ("doc_id", pa.string()),
        ("url", pa.string()),
        ("karma", pa.int64()),
        ("hostname", pa.string()),
        ("title", pa.string()),
        ("date", pa.string()),  # ISO 8601 date of publication, as found in the page
        ("language", pa.string()),  # ISO 639-1, of langdetect; of the whole page for what is not_english
        ("language_probability", pa.float32()),
        ("english_probability", pa.float32()),  # 0 where langdetect says less than 0.1
        ("runner_up", pa.string()),  # the next probable language, if another reaches 0.1
        ("n_words", pa.int32()),  # null where text is
        ("text", pa.large_string()),  # null unless the quality rules saw it: no text, or another language
        ("stage", pa.string()),  # the stage that decided: extract, language or quality
        ("reason", pa.string()),
    ]
)

DUPLICATES = pa.schema(
    [
        ("doc_id", pa.string()),
        ("keeper", pa.string()),  # doc_id of the cluster's keeper; its own for a document that is kept
        ("keeper_batch", pa.string()),
        ("keeper_url", pa.string()),
        ("similarity", pa.float32()),  # estimated Jaccard similarity with the keeper; null if kept
        ("reason", pa.string()),  # ok, exact_duplicate or near_duplicate
    ]
)

OVERLAP = pa.schema(
    [
        ("doc_id", pa.string()),
        ("n_grams", pa.int64()),
        ("hits", pa.int64()),  # n-gram positions of the document that are in any benchmark
        ("longest_run", pa.int64()),  # of consecutive such positions
        ("benchmarks", pa.list_(pa.string())),  # hit by the document, sorted
        ("cut_text", pa.large_string()),  # what the policy `cut` left of the text; null where it cut nothing
        ("reason", pa.string()),  # ok, or contaminated: dropped by the policy
    ]
)
