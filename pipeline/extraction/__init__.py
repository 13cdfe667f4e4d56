"""From the bytes of a page to its text, as the pipeline finds it.

    >>> from pipeline.extraction import extract
    >>> found = extract(body, url="https://example.org/ferry", content_type="text/html; charset=utf-8")
    >>> found.text, found.title, found.date

`extract` runs in the caller's process, which is what one wants to read a few pages or to measure the
extraction. It sets no limits: a hostile page can take minutes, gigabytes, or the process with it. For pages
of strangers by the million there is `pipeline.extraction.many_pages`, which is what the pipeline uses: the
same function in a child process with a deadline and a memory limit.

What happens on the way, and where:

    charset          bytes to characters
    one_page         one page to its text, by one of `engines`
    engines          trafilatura, trafilatura-fast, resiliparse
    fast_trafilatura trafilatura's text in less time
    prefilter        drops short and foreign pages before extraction
    notices          drops log-in walls, cookie banners, soft 404s and the like
    many_pages       many pages in `sandbox`, a child process under limits
"""

from pipeline.extraction.page import Text

__all__ = ["Text", "extract"]


def extract(
    body: bytes, *, url: str | None = None, content_type: str | None = None, engine: str | None = None
) -> Text | None:
    """The text of a page, with its title and date of publication, by the code and defaults of the pipeline.

    body: the page as the server sent it, content coding (gzip, br) undone. It may have any charset.
    url: where it came from; helps to find the date. content_type: the value of the Content-Type header. Its
    charset helps to decode the body, and `text/plain` is taken as it is; all other types are read as HTML.
    engine: a name in `pipeline.extraction.engines.ENGINES`, by default `trafilatura`.

    Returns None for a page in which the engine finds no text, and for one that holds nothing but a known
    notice (`pipeline.extraction.notices`). Short pages and pages in other languages than English are
    extracted: that the pipeline may drop them before extraction only saves time, as later stages would.
    The text is Unicode NFC with "\\n" between paragraphs, the title one line or None, the date ISO 8601
    (YYYY-MM-DD, no later than today) or None.

    Raises ValueError for an unknown engine, UserError if its library is not installed, and whatever the
    engine raises: in the pipeline that is the outcome `error` of the page. The first call imports the engine
    (about a second); those with trafilatura replace parts of trafilatura and jusText in this process by
    faster ones that find the same text (`fast_trafilatura.main_text`).
    """
    from pipeline.extraction.one_page import extract_body

    return extract_body(body, url=url, content_type=content_type, engine=engine)
