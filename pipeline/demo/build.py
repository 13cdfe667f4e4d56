"""Writes the demo's dump from the plan: python -m pipeline.demo.build

One JSON object per line, compressed by zstandard, as Pushshift and Arctic Shift publish Reddit's submissions.
Their fields and types changed over the years, so lines have one of three forms: that of 2014 (`created_utc`
as text), of 2018, and of 2024 (`created_utc` as a float). The same plan gives the same bytes.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import zstandard

from pipeline.demo import content, plan
from pipeline.demo.plan import HERE, Submission
from pipeline.links import urls

__all__ = ["DUMP", "dump", "lines", "main"]

DUMP = HERE / "submissions.ndjson.zst"
START = 1_512_086_400  # 2017-12-01, UTC
FIRST_ID = 0x1A2B3C4D  # about where Reddit's ids were then
AUTHORS = (
    "kelp_forest", "nils_of_the_north", "MargaretsLoom", "rustyanchor7", "quiet_carriage", "Tam_o_Shanty",
    "bee_ess_ell", "ferrous_wheel", "halfpastlate", "LoamRanger", "opal_dusk", "thirdrowcentre",
)  # fmt: skip

Record = dict[str, Any]


def main() -> None:
    """Writes `DUMP`."""
    DUMP.write_bytes(zstandard.ZstdCompressor(level=19, write_content_size=False).compress(dump()))
    print(f"{DUMP}: {len(plan.submissions())} lines")


def dump() -> bytes:
    """The lines of the dump, uncompressed."""
    return b"".join(lines())


def lines() -> Iterator[bytes]:
    """Each row of the plan as a line."""
    number = 0
    for submission in plan.submissions():
        number += "again" not in submission.marks
        record = FORMS[number % len(FORMS)](_record(submission, number), number)
        text = json.dumps(record, sort_keys=True, separators=(",", ":"))
        yield (text[: len(text) // 2] if "broken" in submission.marks else text).encode() + b"\n"


def _record(submission: Submission, number: int) -> Record:
    """The fields that all three forms have."""
    name = np.base_repr(FIRST_ID + 577 * number, 36).lower()
    url = submission.url.replace("{id}", name)
    is_self = "self" in submission.marks
    title = submission.title or _title(url)
    words = "_".join(re.findall(r"[a-z0-9]+", title.lower()))[:50]
    digest = hashlib.blake2b(name.encode(), digest_size=2).digest()
    record = {
        "author": "[deleted]" if "deleted" in submission.marks else AUTHORS[digest[0] % len(AUTHORS)],
        "created_utc": START + 9_311 * number,
        "domain": f"self.{submission.subreddit}" if is_self else urlsplit(url).hostname or "",
        "id": name,
        "is_self": is_self,
        "num_comments": digest[1] % 90,
        "over_18": "over_18" in submission.marks,
        "permalink": f"/r/{submission.subreddit}/comments/{name}/{words}/",
        "score": submission.score,
        "selftext": "Tell us below." if is_self else "",
        "subreddit": submission.subreddit,
        "title": title,
        "url": url,
    }
    return record | {"promoted": True} if "promoted" in submission.marks else record


def _2014(record: Record, number: int) -> Record:
    ups = record["score"] or 0
    return record | {
        "archived": True, "created": record["created_utc"] + 28_800,
        "created_utc": str(record["created_utc"]), "distinguished": None, "downs": 0, "edited": False,
        "gilded": 0, "hide_score": False, "media": None, "name": f"t3_{record['id']}",
        "retrieved_on": START + 5_000_000, "saved": False, "stickied": False, "subreddit_id": "t5_2qh1i",
        "thumbnail": "default", "ups": ups,
    }  # fmt: skip


def _2018(record: Record, number: int) -> Record:
    return record | {
        "brand_safe": True, "can_gild": True, "contest_mode": False, "is_crosspostable": True,
        "is_reddit_media_domain": record["domain"].endswith("redd.it"), "is_video": False, "locked": False,
        "no_follow": False, "num_crossposts": 0, "parent_whitelist_status": "all_ads", "pinned": False,
        "retrieved_on": START + 2_700_000, "spoiler": False, "subreddit_type": "public",
        "suggested_sort": None, "whitelist_status": "all_ads",
    }  # fmt: skip


def _2024(record: Record, number: int) -> Record:
    return record | {
        "_meta": {"retrieved_2nd_on": START + 9_311 * number + 129_600}, "all_awardings": [],
        "author_flair_richtext": [], "awarders": [], "created_utc": float(record["created_utc"]),
        "gildings": {}, "is_created_from_ads_ui": False, "is_robot_indexable": True, "link_flair_text": None,
        "name": f"t3_{record['id']}", "removed_by_category": None, "send_replies": True,
        "subreddit_name_prefixed": f"r/{record['subreddit']}", "total_awards_received": 0,
        "treatment_tags": [], "upvote_ratio": 0.94, "url_overridden_by_dest": record["url"],
    }  # fmt: skip


FORMS: tuple[Callable[[Record, int], Record], ...] = (_2014, _2018, _2024)


def _title(url: str) -> str:
    page = content.pages().get((urls.canonical(url) or "").partition("//")[2])
    if page is None:
        raise ValueError(f"plan.csv: {url!r} is not a page of the demo and has no title")
    return page.title


if __name__ == "__main__":
    main()
