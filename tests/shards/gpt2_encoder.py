"""OpenAI's GPT-2 encoder as published (openai/gpt-2, src/encoder.py), as an oracle for token ids."""

import functools
import itertools
import json
from pathlib import Path

import regex

PATTERN = regex.compile(r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+""")


def bytes_to_unicode() -> dict[int, str]:
    kept = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    characters = kept[:]
    n = 0
    for b in range(2**8):
        if b not in kept:
            kept.append(b)
            characters.append(2**8 + n)
            n += 1
    return dict(zip(kept, map(chr, characters), strict=True))


class Encoder:
    def __init__(self, encoder_json: Path, vocab_bpe: Path) -> None:
        self.encoder: dict[str, int] = json.loads(encoder_json.read_text(encoding="utf-8"))
        merges = [tuple(line.split()) for line in vocab_bpe.read_text(encoding="utf-8").split("\n")[1:-1]]
        self.bpe_ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.byte_encoder = bytes_to_unicode()
        self.piece = functools.cache(self._piece)  # each distinct piece of text is encoded once

    def encode(self, text: str) -> list[int]:
        return [token for piece in PATTERN.findall(text) for token in self.piece(piece)]

    def _piece(self, piece: str) -> list[int]:
        return [
            self.encoder[part] for part in self.bpe("".join(self.byte_encoder[b] for b in piece.encode()))
        ]

    def bpe(self, token: str) -> list[str]:
        word = list(token)
        while len(word) > 1:
            pairs = itertools.pairwise(word)
            first, second = best = min(pairs, key=lambda pair: self.bpe_ranks.get(pair, float("inf")))
            if best not in self.bpe_ranks:
                break
            merged: list[str] = []
            i = 0
            while i < len(word):
                if word[i : i + 2] == [first, second]:
                    merged.append(first + second)
                    i += 2
                else:
                    merged.append(word[i])
                    i += 1
            word = merged
        return word
