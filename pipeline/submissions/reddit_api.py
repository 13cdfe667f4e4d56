"""Reddit's API through PRAW: patient with its limits and troubles, clear about its refusals.

PRAW waits as the `X-Ratelimit-…` headers ask and repeats a 5xx twice; what is left for here is a 429, trouble
that lasts, and the words for what went wrong.
"""

import configparser
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import praw
from praw.exceptions import PRAWException
from prawcore import exceptions as core

from pipeline.errors import UserError
from pipeline.fetch import agent
from pipeline.fetch.politeness.retry_after import retry_after
from pipeline.settings import Fetch, Reddit

__all__ = ["BLOCK", "Api", "Refused", "Unavailable"]

T = TypeVar("T")
Fields = dict[str, Any]

BLOCK = 100  # ids that /api/info takes at a time
PRIVATE = ("private", "quarantined", "gold_only", "banned")  # Reddit's own words in the body of a 403 or 404


class Refused(Exception):  # noqa: N818 - of Reddit, not of the program
    """A listing that Reddit does not give. reason: see `Api`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Unavailable(Exception):  # noqa: N818
    """What passes, but did not in `retries` attempts. reason: see `Api`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Api:
    """Submissions as dictionaries by Reddit's names, from its listings, its search and by their ids.

    Reads the credentials from the settings, else from PRAW's own places (`praw_client_id` in the environment,
    praw.ini), and keeps them nowhere else. Raises UserError if there are none or they are not accepted;
    Refused("private", "quarantined", "gold_only", "banned", "not_found", "forbidden" or "bad_request"); and
    Unavailable("rate_limited", "server_error", "network_error" or "bad_answer").
    """

    def __init__(self, settings: Reddit, fetch: Fetch) -> None:
        secrets = {"client_id": settings.client_id, "client_secret": settings.client_secret}
        given: dict[str, Any] = {
            name: value.get_secret_value() for name, value in secrets.items() if value is not None
        }
        self._settings = settings
        try:
            self._reddit = praw.Reddit(
                settings.site,
                user_agent=agent.user_agent(fetch),
                check_for_updates=False,
                check_for_async=False,
                **given,
            )
        except configparser.Error as error:
            raise UserError(f"reddit.site {settings.site!r}: {str(error).splitlines()[0]}") from None
        except (PRAWException, ValueError) as error:
            raise UserError(
                f"no credentials for Reddit ({str(error).split('.')[0]}): set praw_client_id and "
                "praw_client_secret in the environment, or name a section of praw.ini in reddit.site"
            ) from None

    def close(self) -> None:
        """Closes the connections."""
        self._reddit.__exit__()

    def check(self) -> None:
        """Asks for one submission, to see that Reddit can be reached and accepts the credentials."""
        self.by_id(["87"])

    def listing(self, subreddit: str, kind: str, time_filter: str | None, limit: int) -> Iterator[Fields]:
        """A listing of a subreddit, the first `limit` of it; Reddit has no more than 1,000."""
        source = self._reddit.subreddit(subreddit)
        options = {"time_filter": time_filter} if time_filter else {}
        return self._each(getattr(source, kind)(limit=limit, **options))

    def search(self, subreddit: str, query: str, limit: int) -> Iterator[Fields]:
        """The newest submissions of a subreddit that match a query of Reddit's search."""
        found = self._reddit.subreddit(subreddit).search(query, sort="new", time_filter="all", limit=limit)
        return self._each(found)

    def by_id(self, ids: Sequence[str]) -> list[Fields]:
        """The submissions among at most BLOCK ids that Reddit has, in their order."""
        names = [f"t3_{id_}" for id_ in ids]
        return self._ask(lambda: [_fields(found) for found in self._reddit.info(fullnames=names)])

    def newest(self) -> int | None:
        """The number of the newest submission; None if Reddit shows none."""
        found = next(self.listing("all", "new", None, 1), None)
        return int(found["id"], 36) if found else None

    def _each(self, listing: Any) -> Iterator[Fields]:
        """The items of a ListingGenerator; after an error it goes on where it was."""
        while (found := self._ask(lambda: next(listing, None))) is not None:
            yield _fields(found)

    def _ask(self, request: Callable[[], T]) -> T:
        for attempt in range(self._settings.retries + 1):
            asked = None
            try:
                return request()
            except core.TooManyRequests as error:
                trouble = Unavailable("rate_limited", str(error))
                headers = error.response.headers
                asked = retry_after(error.retry_after or headers.get("x-ratelimit-reset"))
            except core.ServerError as error:
                trouble = Unavailable("server_error", str(error))
            except core.RequestException as error:
                trouble = Unavailable("network_error", str(error.original_exception))
            except (core.OAuthException, core.InvalidToken, core.InsufficientScope) as error:
                raise _unaccepted(str(error)) from None
            except core.Redirect:  # to the search for a subreddit of that name
                raise Refused("not_found") from None
            except core.ResponseException as error:
                if error.response.status_code < 500 and not isinstance(error, core.BadJSON):
                    raise _refusal(error) from None
                trouble = Unavailable("bad_answer", str(error))
            except (PRAWException, ValueError, LookupError, TypeError, AttributeError) as error:
                if error.args == (401,):  # prawcore: a 401 without WWW-Authenticate
                    raise _unaccepted("received 401 HTTP response") from None
                trouble = Unavailable("bad_answer", repr(error))
            if attempt < self._settings.retries:
                pause = self._settings.backoff * 2**attempt * random.uniform(0.5, 1.0)
                time.sleep(min(pause if asked is None else max(asked, 1.0), self._settings.max_wait))
        raise trouble


def _fields(found: Any) -> dict[str, Any]:
    """What Reddit said of a submission; asking PRAW for a field that is missing would ask Reddit again."""
    fields = dict(vars(found))
    return fields | {"subreddit": str(fields.get("subreddit") or "")}


def _refusal(error: core.ResponseException) -> Exception:
    status = error.response.status_code
    if status == 401 or "/api/v1/access_token" in (error.response.url or ""):
        return _unaccepted(str(error))
    try:
        reason = error.response.json().get("reason")
    except (ValueError, AttributeError):
        reason = None
    if reason in PRIVATE:
        return Refused(str(reason))
    return Refused({403: "forbidden", 404: "not_found", 451: "banned"}.get(status, "bad_request"))


def _unaccepted(detail: str) -> UserError:
    return UserError(
        f"Reddit does not accept the credentials ({detail}): check the app at reddit.com/prefs/apps, and "
        "that its account is not suspended; then give the same command again"
    )
