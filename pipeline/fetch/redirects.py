"""Where a redirect leads is judged as a posted URL is, before it is requested."""

from pipeline.fetch.http.target import Target
from pipeline.fetch.outcome import Failure
from pipeline.links import urls
from pipeline.settings import Links

__all__ = ["FILTERS", "redirect_target"]

FILTERS = Links()  # what is judged by where no settings are given


def redirect_target(source: Target, location: str, filters: Links) -> Target:
    """The target of the Location header `location` in a response from `source`.

    filters: the settings that `urls.reject` judges by. Raises Failure: `redirect_refused` if the target is no
    http(s) URL or has no canonical form, and "redirect_" with the reason of `urls.reject` if that rejects it.
    """
    target = source.join(location)
    canonical = urls.canonical(target.url)
    if canonical is None:
        raise Failure("redirect_refused", f"Location: {location[:200]!r}")
    if reason := urls.reject(canonical, filters):
        raise Failure(f"redirect_{reason}", target.url[:300])
    return target
