"""Texts that are hard on a loop over bytes."""

from hypothesis import strategies as st

VALID = st.text(st.characters(exclude_categories=["Cs"]))
DIRTY = st.lists(
    st.sampled_from(
        ["word", "İ", "ẞ", "Σ", "ﬁ", "Ⱥ", "\0", "\u0301", "𐐀", "𝔘", "é", "東京", "½", " ", "—", "\n"]
    ),
    max_size=60,
).map("".join)
TEXTS = st.lists(VALID | DIRTY, max_size=5)
