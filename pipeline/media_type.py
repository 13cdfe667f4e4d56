"""The value of a Content-Type header (RFC 9110, section 8.3), read as leniently as the web needs it."""

import re

__all__ = ["media_type"]

_MAX_TYPE, _MAX_CHARSET = 100, 40  # characters that are kept of what a stranger's server sent
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([^\s\"';,]+)", re.IGNORECASE)


def media_type(header: str | None) -> tuple[str | None, str | None]:
    """The media type and the charset that a Content-Type header names, in lower case; None for a missing one.

    `Text/HTML; charset="UTF-8"` gives `("text/html", "utf-8")`.
    """
    if not header or not header.strip():
        return None, None
    kind = re.split(r"[;,\s]", header.strip(), maxsplit=1)[0].lower()
    charset = _CHARSET.search(header)
    return kind[:_MAX_TYPE] or None, charset[1].lower()[:_MAX_CHARSET] if charset else None
