"""Text to token ids and back: GPT-2's byte-level BPE of 50,257 tokens, or another tokenizer by name.

    gpt2 = load("gpt2")
    gpt2.encode("Hello world")  # [15496, 995]
    gpt2.decode([15496, 995])  # "Hello world"

`load` returns a `Tokenizer`, whose `checksum` identifies the vocabulary and is written into every shard.
"""

from shards.tokenizer import tiktoken_encoding
from shards.tokenizer.base import IdArray, Tokenizer

__all__ = ["IdArray", "Tokenizer", "load"]


def load(name: str = "gpt2") -> Tokenizer:
    """The tokenizer of that name, built once per process (GPT-2's takes about 0.3 s).

    name is one of
    - `gpt2`: the ids of OpenAI's encoder. Nothing is downloaded.
    - an encoding of tiktoken, such as `cl100k_base`. tiktoken downloads its vocabulary, or finds it in
      TIKTOKEN_CACHE_DIR.
    - the fsspec path of a Hugging Face `tokenizer.json`, optionally followed by `#` and the token that ends a
      document, as in `llama/tokenizer.json#</s>`. Needs the extra `huggingface`. Without the `#` part the
      vocabulary must have exactly one of `huggingface.END_TOKENS`.

    Raises ValueError for an unknown name, a file that is not a tokenizer, a vocabulary that is not the
    published one, or an end token that is missing or ambiguous; OSError if the vocabulary cannot be read or
    downloaded; ImportError if the extra is not installed.
    """
    if ".json" in name:
        from shards.tokenizer import huggingface  # an extra

        return huggingface.load(name)
    return tiktoken_encoding.load(name)
