"""Who asks: the user agent, and the settings without which nobody may."""

import re

from pipeline.errors import UserError
from pipeline.fetch.http.guard import Guard
from pipeline.settings import Fetch

__all__ = ["check", "product", "user_agent", "warcinfo"]

_CONTACT = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+|https?://[^\s/]+\.\S+")


def check(settings: Fetch) -> None:
    """Raises UserError for settings with which nothing may start."""
    contact = settings.contact
    if not contact:
        raise UserError(
            "fetch.contact is not set: give an e-mail address or a URL at which a webmaster reaches you "
            "(--set fetch.contact=you@example.org)"
        )
    if not _CONTACT.fullmatch(contact):
        raise UserError(f"fetch.contact: expected an e-mail address or an http(s) URL, found {contact!r}")
    agent = user_agent(settings)
    if contact not in agent or not agent.isascii() or not agent.isprintable():
        raise UserError(f"fetch.user_agent: expected printable ASCII with {{contact}} in it, found {agent!r}")
    if not re.match(r"[A-Za-z_-]+(?=/|\s|$)", agent):
        raise UserError(
            f"fetch.user_agent: expected a name of letters, - and _ before the slash, found {agent!r}"
        )
    try:
        Guard(settings.allow_networks, {}).close()
    except ValueError as error:
        raise UserError(f"fetch.allow_networks: {error}") from error
    try:
        Guard((), {}, settings.nameservers).close()
    except ValueError as error:
        raise UserError(f"fetch.nameservers: {error}") from error
    try:
        Guard((), settings.connect_to).close()
    except ValueError as error:
        raise UserError(f"fetch.connect_to: {error}") from error


def user_agent(settings: Fetch) -> str:
    """The User-Agent header."""
    return settings.user_agent.replace("{contact}", settings.contact or "")


def product(settings: Fetch) -> str:
    """The product token, by which robots.txt names us: the user agent up to the slash (RFC 9309, 2.2.1)."""
    return re.split(r"[/\s]", user_agent(settings), maxsplit=1)[0]


def warcinfo(settings: Fetch, batch: str) -> dict[str, str]:
    """What a WARC file says of the crawl that made it."""
    return {
        "software": user_agent(settings).partition(" ")[0],
        "format": "WARC File Format 1.1",
        "conformsTo": "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/",
        "robots": "obey" if settings.robots else "ignore",
        "http-header-user-agent": user_agent(settings),
        "operator": settings.contact or "",
        "isPartOf": batch,
    }
