"""Does a model repeat its training set? 8-gram overlap of its samples with it (GPT-2 paper, section 4).

    python examples/memorisation.py corpus/shards gpt2 --out memorisation.svg

Samples from a model of `pretrain_gpt2.py`, unconditional and continuing held-out documents, top-k 40, and
draws for them, and for held-out text itself, the distribution of the share of their 8-grams that are in the
training set: the paper's figure 5. A model that memorises lies to the right of the held-out text.
"""

import argparse
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from transformers import GPT2LMHeadModel

from dedup.bloom.bloom_filter import BloomFilter
from dedup.ngrams.hashing import NGramHasher
from shards.reader import read_documents, read_texts
from shards.tokenizer import load

COLOURS = {"held-out": "#4477aa", "unconditional": "#ee6677", "conditional": "#228833"}


def main() -> None:
    options = parse()
    tokenizer = load()
    ngrams = NGramHasher("tokens", 8, tokenizer.encode_batch, tokenizer.checksum)
    training = training_set(f"{options.shards}/train", ngrams)
    model = GPT2LMHeadModel.from_pretrained(options.model, local_files_only=True).eval()
    length = min(options.length, model.config.n_positions)
    documents = (ids[:length] for _, _, ids in read_documents(f"{options.shards}/heldout"))
    long_enough = (ids.astype(np.int64) for ids in documents if len(ids) == length)
    heldout = list(islice(long_enough, options.samples))
    if not heldout:
        raise SystemExit(f"no held-out document has {length} tokens: choose a smaller --length")
    end = tokenizer.end_of_text
    torch.manual_seed(0)
    ids = {
        "held-out": heldout,
        "unconditional": sample(model, [np.array([end])] * len(heldout), length + 1, end),
        "conditional": sample(model, [document[: length // 4] for document in heldout], length, end),
    }
    shares = {}
    for name, texts in ids.items():
        begin = length // 4 if name == "conditional" else 0  # what the model itself has written
        decoded = [tokenizer.decode([id for id in text[begin:] if id != end]) for text in texts]
        shares[name] = np.array([overlap(grams, training) for grams in per_text(decoded, ngrams)])
        print(f"{name}: mean overlap {shares[name].mean():.2%}, without any {np.mean(shares[name] == 0):.1%}")
    options.out.write_text(figure(shares), encoding="utf-8")
    print(options.out)


def training_set(path: str, ngrams: NGramHasher) -> BloomFilter:
    """The 8-grams of all training documents, at a false positive rate of 1e-8."""
    tokens = sum(len(ids) for _, _, ids in read_documents(path))
    training = BloomFilter.sized(tokens, 1e-8, ngrams.identity)
    texts = (text for _, _, text in read_texts(path))
    while chunk := list(islice(texts, 1000)):
        training.add(ngrams.hash(chunk).hashes)
    return training


@torch.no_grad()
def sample(model: GPT2LMHeadModel, prefixes: list[np.ndarray], length: int, end: int) -> list[np.ndarray]:
    """Continues prefixes of one length to `length` tokens, top-k 40; without the first one if it is `end`."""
    made = []
    for start in range(0, len(prefixes), 16):
        ids = torch.from_numpy(np.stack(prefixes[start : start + 16]))
        while ids.shape[1] < length:
            logits = model(ids[:, -model.config.n_positions :]).logits[:, -1].topk(40)
            chosen = torch.multinomial(logits.values.softmax(-1), 1)
            ids = torch.cat([ids, logits.indices.gather(1, chosen)], dim=1)
        made += list(ids.numpy())
    return [ids[1:] if ids[0] == end else ids for ids in made]


def per_text(texts: list[str], ngrams: NGramHasher) -> Iterator[np.ndarray]:
    """The hashed 8-grams of each text that has any."""
    grams = ngrams.hash(texts)
    return (hashes for hashes in np.split(grams.hashes, grams.offsets[1:-1]) if len(hashes))


def overlap(grams: np.ndarray, training: BloomFilter) -> float:
    """The share of 8-grams that are in the training set."""
    return float(training.contains(grams).mean())


def figure(shares: dict[str, np.ndarray]) -> str:
    """Cumulative distributions as SVG."""
    lines = []
    for row, (name, values) in enumerate(shares.items()):
        steps = np.unique(np.append(values, [0.0, 1.0]))
        heights = np.searchsorted(np.sort(values), steps, side="right") / len(values)
        points = " ".join(
            f"{60 + 500 * x:.1f},{340 - 300 * y:.1f}" for x, y in zip(steps, heights, strict=True)
        )
        lines.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>')
        lines.append(
            f'<text x="440" y="{240 + 20 * row}" fill="{COLOURS[name]}">{name} ({len(values)})</text>'
        )
    ticks = list(axis_labels())
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 600 400" font-family="sans-serif">'
        '<rect width="600" height="400" fill="white"/><path d="M60 40V340H560" fill="none" stroke="#333"/>'
        + "".join([*ticks, *lines])
        + '<text x="310" y="385" text-anchor="middle">8-grams that are in the training set</text>'
        '<text x="60" y="25">share of texts with at most that overlap</text></svg>\n'
    )


def axis_labels() -> Iterable[str]:
    for n in range(0, 101, 25):
        yield f'<text x="{60 + 5 * n}" y="360" text-anchor="middle">{n} %</text>'
        yield f'<text x="52" y="{344 - 3 * n}" text-anchor="end">{n} %</text>'


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shards", help="the directory with train and heldout, any fsspec path")
    parser.add_argument("model", type=Path, help="the directory of a trained model")
    parser.add_argument("--samples", type=int, default=200, help="of each kind (default: %(default)s)")
    parser.add_argument("--length", type=int, default=128, help="tokens of a sample (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("memorisation.svg"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
