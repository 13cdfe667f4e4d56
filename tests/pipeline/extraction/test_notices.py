"""Notices are recognised where a text is nothing else, whatever their spelling, and nowhere else."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extraction.notices import FILLER, MAX_CHARS, NOTICES, classify
from tests.pipeline.quality.test_rules import GOOD

KINDS = {
    kind: [line for lines in sources.values() for line in lines]
    for kind, sources in yaml.safe_load(NOTICES.read_text("utf-8")).items()
}
PAGES = [  # kind, and a text
    (
        "needs_javascript",
        "We're sorry but shop-front doesn\u2019t work properly without JavaScript enabled.\n"
        "Please enable it to continue.",
    ),
    (
        "needs_javascript",
        "JavaScript is not available.\nWe\u2019ve detected that JavaScript is disabled in this browser. "
        "Please enable JavaScript or switch to a supported browser to continue using x.com.\nHelp Center",
    ),
    (
        "bot_check",
        "Checking if the site connection is secure\nexample.com needs to review the security of your "
        "connection before proceeding.\nRay ID: 7d1c0a2b3c4d5e6f",
    ),
    ("bot_check", "Request unsuccessful. Incapsula incident ID: 877000120123456789-123456789012345678"),
    ("login_wall", "Log in to Facebook\nYou must log in to continue.\nForgot password?\nSign up"),
    (
        "cookie_notice",
        "This website uses cookies to ensure you get the best experience on our website. Got it!",
    ),
    (
        "not_found",
        "Not Found\nThe requested URL /~smith/index.html was not found on this server.\n"
        "Apache/2.2.11 (Ubuntu) Server at www.example.org Port 80",
    ),
    (
        "not_found",
        "OOPS! THAT PAGE CAN\u2019T BE FOUND.\nIt looks like nothing was found at this location. "
        "Maybe try a search?",
    ),
    ("parked_domain", "This Web page is parked for FREE, courtesy of GoDaddy.com."),
    ("parked_domain", "This domain is for sale!"),
]


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {FILLER}))
def test_every_notice_is_recognised(kind: str) -> None:
    for line in KINDS[kind]:
        assert classify(line.replace("*", "example.com")) == (kind, 1.0), line


@pytest.mark.parametrize(("kind", "text"), PAGES)
def test_pages_of_notices(kind: str, text: str) -> None:
    assert classify(text) == (kind, 1.0)
    assert classify(f"{GOOD}\n{text}")[1] < 1, "an article may end in a notice"
    assert classify(f"{text} It was on everybody's screen that morning.")[1] < 1


def test_what_is_no_notice() -> None:
    assert classify("") == classify("... !") == (None, 0.0)
    assert classify("Home\nSearch\nLog in") == (None, 1.0)
    assert classify("My old car is for sale, and my house is not found on any map.")[1] < 1
    assert classify(KINDS["not_found"][0] * 100) == (None, 0.0), f"more than {MAX_CHARS} characters"


@given(st.text(), st.sampled_from([line for lines in KINDS.values() for line in lines]))
def test_any_other_word_makes_a_text_uncertain(text: str, line: str) -> None:
    assert 0 <= classify(text)[1] <= 1
    assert classify(f"{line.replace('*', 'it')} xylophonist")[1] < 1 or "*" in line
