"""64-bit FNV-1a (Fowler, Noll, Vo; http://www.isthe.com/chongo/tech/comp/fnv): the hash of a word."""

__all__ = ["OFFSET", "PRIME", "fnv1a"]

OFFSET = 0xCBF29CE484222325
PRIME = 0x100000001B3


def fnv1a(data: bytes) -> int:
    """The 64-bit FNV-1a hash of some bytes."""
    value = OFFSET
    for byte in data:
        value = (value ^ byte) * PRIME & 0xFFFFFFFFFFFFFFFF
    return value
