"""`/.well-known/tdmrep.json`: where a site reserves its rights to text and data mining.

"TDM File on the Origin Server" of the TDM Reservation Protocol (see `consent`): an array of rules with a
`location`, a path pattern as in robots.txt, and `tdm-reservation`, 0 or 1. The first that matches decides.
"""

import json
import re
from typing import Any, NamedTuple

from protego import Protego

from pipeline.fetch.http.response import Response
from pipeline.fetch.outcome import Failure
from pipeline.fetch.politeness.robots import Statement, content

__all__ = ["PATH", "read"]

PATH = "/.well-known/tdmrep.json"


class _Locations(NamedTuple):
    """Patterns and whether rights are reserved there, in their order."""

    rules: list[tuple[Protego, bool]]

    def can_fetch(self, url: str, user_agent: str) -> bool:
        """Whether no rights are reserved to what is at a URL."""
        matching = (reserved for rule, reserved in self.rules if not rule.can_fetch(url, user_agent))
        return not next(matching, False)


def read(response: Response) -> tuple[Statement, ...]:
    """What a final response says: nothing, unless it is a 200 with rules that reserve something."""
    if response.status != 200 or response.failure:
        return ()
    try:
        stated: Any = json.loads(content(response))
    except (Failure, ValueError, RecursionError):
        return ()
    rules = [
        (Protego.parse(f"User-agent: *\nDisallow: {location}"), str(rule.get("tdm-reservation")) == "1")
        for rule in (stated if isinstance(stated, list) else [])
        if isinstance(rule, dict) and re.fullmatch(r"[/*]\S*", location := str(rule.get("location")))
    ]
    if not any(reserved for _, reserved in rules):
        return ()
    return (Statement("tdm_reservation", "tdmrep.json: tdm-reservation 1", _Locations(rules)),)
