"""Cleaning of texts: langdetect's `Detector.append` and `Detector.cleaning_text`, compiled.

URLs and mail addresses become a space, Vietnamese letters are composed, the text is cut after 10,000
characters, and Latin letters are removed from a text that is mostly in another script. langdetect also turns
runs of spaces into one space; here they stay, for `detection.ngrams` skips them.
"""

import numpy as np

from dedup.jit import compiled

__all__ = ["clean"]

MAX_LENGTH = 10_000  # Detector.max_text_length, in characters
MAX_URL, MAX_LOCAL, MAX_DOMAIN = 2_076, 64, 255  # repetitions in Detector.URL_RE and MAIL_RE
URL, DOMAIN, LOCAL = 1, 2, 4  # their classes of characters
_WORD = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-"
SPACE, NEWLINE, COLON, SLASH, AT, CAPITAL_A, SMALL_Z = b" \n:/@Az"
HTTPS = np.frombuffer(b"https", np.uint8)
BYTES = np.array(
    [
        URL * (chr(b) in _WORD + ".?&~;+=/#") | DOMAIN * (chr(b) in _WORD) | LOCAL * (chr(b) in _WORD + ".")
        for b in range(256)
    ],
    np.uint8,
)


@compiled
def clean(
    data: np.ndarray, offsets: np.ndarray, max_chars: int, composed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The cleaned characters of all texts (code points, uint32), and the offsets of texts in them (int64).

    data: UTF-8 of all texts, uint8. offsets: int64, shape (texts + 1,), where each begins in `data`.
    max_chars: see `beginning`. composed: `profiles.Tables.composed`.
    """
    room = 0
    for t in range(len(offsets) - 1):
        room += min(offsets[t + 1] - offsets[t], MAX_LENGTH + MAX_LOCAL)
    characters = np.empty(room, np.uint32)
    ends = np.zeros(len(offsets), np.int64)
    for t in range(len(offsets) - 1):
        text = characters[ends[t] :]
        end = beginning(data, offsets[t], offsets[t + 1], max_chars)
        ends[t + 1] = ends[t] + without_latin(text, append(data, offsets[t], end, composed, text))
    return characters[: ends[-1]], ends


@compiled
def beginning(data: np.ndarray, start: int, end: int, max_chars: int) -> int:
    """Where to cut a text: see `pipeline.language.detect.beginning`. max_chars < 0: nowhere."""
    if max_chars < 0 or end - start <= max_chars:
        return end
    here, n = start, -1
    while here < end:
        n += (data[here] & 0xC0) != 0x80
        if n == max_chars:
            break
        here += 1
    if here == end:
        return end
    cut = here
    while n >= max_chars * 0.9:
        if data[here] == SPACE or data[here] == NEWLINE:
            return here
        n -= 1
        here -= 1
        while here > start and (data[here] & 0xC0) == 0x80:
            here -= 1
        if here < start:
            break
    return cut


@compiled
def url_end(data: np.ndarray, colon: int, end: int) -> int:
    """Where `://…` ends, if a URL's does, else `colon`."""
    here = colon + 3
    if here >= end or data[colon + 1] != SLASH or data[colon + 2] != SLASH:
        return colon
    stop = min(end, here + MAX_URL)
    while here < stop and BYTES[data[here]] & URL:
        here += 1
    return here if here > colon + 3 else colon


@compiled
def scheme_length(characters: np.ndarray, end: int) -> int:
    """4 if `http`, 5 if `https` stands before `end`, else 0."""
    for length in (4, 5):
        k = 0
        while k < length <= end and characters[end - length + k] == HTTPS[k]:
            k += 1
        if k == length:
            return length
    return 0


@compiled
def domain_end(data: np.ndarray, at: int, end: int) -> int:
    """Where the address with its @ at `at` ends, `at` if it is none: MAIL_RE's greedy match, up to a URL."""
    first = stop = at + 1
    while stop < end and BYTES[data[stop]] & LOCAL:
        stop += 1
    if stop < end and data[stop] == COLON and url_end(data, stop, end) > stop:
        stop -= scheme_length(data[first:stop], stop - first)
    here = first
    while here < min(stop, first + MAX_DOMAIN) and BYTES[data[here]] & DOMAIN:
        here += 1
    if here == first:
        return at
    if here == stop:  # the second part of the expression takes the last character of the first
        return here if here > first + 1 else at
    return min(stop, here + MAX_DOMAIN)


@compiled
def append(data: np.ndarray, here: int, end: int, composed: np.ndarray, text: np.ndarray) -> int:
    """`Detector.append`: decodes into `text`, replaces URLs and addresses, composes; how many characters."""
    n = 0
    while here < end and n < MAX_LENGTH + MAX_LOCAL:  # an address reaches back at most so far
        byte = data[here]
        if byte < 0x80:
            text[n] = byte
            n += 1
            here += 1
            if byte == COLON:
                stop = url_end(data, here - 1, end)
                length = scheme_length(text, n - 1)
                if stop >= here and length:
                    here = stop
                    n -= length
                    text[n - 1] = SPACE
            elif byte == AT:
                first = n - 1
                while first > max(0, n - 1 - MAX_LOCAL) and BYTES[min(text[first - 1], 0x80)] & LOCAL:
                    first -= 1
                stop = domain_end(data, here - 1, end) if first < n - 1 else 0
                if stop >= here:
                    here = stop
                    n = first + 1
                    text[first] = SPACE
            continue
        length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
        point = np.uint32(byte & (0xFF >> (length + 1)))
        for k in range(here + 1, min(here + length, end)):
            point = (point << np.uint32(6)) | np.uint32(data[k] & 0x3F)
        here += length
        if point > 0x10FFFF:  # not UTF-8
            point = np.uint32(0xFFFD)
        if 0x300 <= point < 0x300 + composed.shape[0] and n > 0 and text[n - 1] < composed.shape[1]:
            letter = composed[point - 0x300, text[n - 1]]
            if letter:
                text[n - 1] = letter
                continue
        text[n] = point
        n += 1
    return min(n, MAX_LENGTH)


@compiled
def without_latin(text: np.ndarray, n: int) -> int:
    """`Detector.cleaning_text`: drops `A` to `z` from a text that is mostly something else; what is left.

    langdetect means to leave Latin Extended Additional out of the count, but compares a number with a name.
    """
    latin = other = 0
    for k in range(n):
        latin += CAPITAL_A <= text[k] <= SMALL_Z
        other += text[k] >= 0x300
    if latin * 2 >= other:
        return n
    kept = 0
    for k in range(n):
        if text[k] < CAPITAL_A or text[k] > SMALL_Z:
            text[kept] = text[k]
            kept += 1
    return kept
