"""The Retry-After header (RFC 9110, section 10.2.3)."""

import email.utils
import math
import re
from datetime import UTC, datetime

__all__ = ["retry_after"]


def retry_after(header: str | None, now: datetime | None = None) -> float | None:
    """The seconds that a Retry-After header asks for: a number or an HTTP date (RFC 9110, section 10.2.3).

    None when absent or senseless; 0 for a date that has passed.
    """
    if header is None:
        return None
    header = header.strip()
    if re.fullmatch(r"\d{1,10}(\.\d*)?", header, re.ASCII):
        return float(header)
    try:
        date = email.utils.parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    seconds = (date - (now or datetime.now(UTC))).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else None
