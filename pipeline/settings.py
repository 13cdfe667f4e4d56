"""Typed settings and their defaults; `pipeline.configuration` reads them, dask_config.yaml explains each.

What a stage writes depends on its own section only. Fields made by `pace` change how fast or how politely it
is made, not what it is: they are left out of the hash that resume compares (`Section.identity`).
"""

import hashlib
import json
from functools import cached_property
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, SecretStr

PACE = "pace"

Fraction = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Amount = Annotated[float, Field(ge=0)]
LanguageCode = Literal[  # those that langdetect knows
    "af", "ar", "bg", "bn", "ca", "cs", "cy", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr", "gu",
    "he", "hi", "hr", "hu", "id", "it", "ja", "kn", "ko", "lt", "lv", "mk", "ml", "mr", "ne", "nl", "no",
    "pa", "pl", "pt", "ro", "ru", "sk", "sl", "so", "sq", "sv", "sw", "ta", "te", "th", "tl", "tr", "uk",
    "ur", "vi", "zh-cn", "zh-tw",
]  # fmt: skip
Listing = Literal["new", "hot", "rising", "top", "controversial"]
Signal = Literal["noai", "noindex", "noarchive", "content_usage", "content_signal", "tdm_reservation"]


def pace(default: Any) -> Any:
    """A field that is not part of a stage's identity."""
    return Field(default, json_schema_extra={PACE: True})


class Section(BaseModel):
    """A group of settings: unknown keys and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def identity(self) -> dict[str, Any]:
        """The settings that decide the output, as JSON values."""
        paced = {
            name
            for name, field in type(self).model_fields.items()
            if isinstance(field.json_schema_extra, dict) and PACE in field.json_schema_extra
        }
        return self.model_dump(mode="json", exclude=paced)


class Cluster(Section):
    """The local Dask cluster that is started when no scheduler is named."""

    scheduler: str | None = None
    workers: Count | None = None
    memory_limit: str | None = "auto"


class Submissions(Section):
    """Reading dumps and lists."""

    rows: Count = pace(50_000)


class Reddit(Section):
    """Reading Reddit's API through PRAW. The credentials are left out of dumps, and so of the corpus."""

    site: str | None = pace(None)
    client_id: SecretStr | None = Field(default=None, exclude=True)
    client_secret: SecretStr | None = Field(default=None, exclude=True)
    listings: list[Listing] = ["new", "hot", "top", "controversial"]
    time_filters: list[Literal["hour", "day", "week", "month", "year", "all"]] = ["day", "week", "month"]
    search: list[str] = []
    limit: Annotated[int, Field(ge=1, le=1000)] = 1000
    scan: Annotated[str, Field(pattern="^[0-9a-z]+-[0-9a-z]*$")] | None = None
    mature_after: Annotated[float, Field(ge=0)] = 48 * 3600.0
    retries: Annotated[int, Field(ge=0)] = pace(4)
    backoff: Seconds = pace(5.0)
    max_wait: Seconds = pace(900.0)

    @property
    def open_end(self) -> bool:
        """Whether the scan has no last id, and ends with the newest mature submission."""
        return self.scan is not None and self.scan.endswith("-")


class Links(Section):
    """From submissions to the URLs worth fetching."""

    min_karma: int = 3
    karma_rule: Literal["max", "sum", "any"] = "max"
    over_18: bool = False
    wikipedia: bool = False
    exclude_domains: list[str] = []
    rows: Count = 2_000

    @cached_property
    def excluded(self) -> frozenset[str]:
        """`exclude_domains` as a set, lower-cased, without `*` and dots at their ends."""
        return frozenset(domain.lower().removeprefix("*").strip(".") for domain in self.exclude_domains)


class Fetch(Section):
    """Fetching pages: politeness, limits and safety."""

    contact: str | None = pace(None)
    user_agent: str = pace("webtext-pipeline/0.2 (+{contact})")
    threads: Count = pace(32)
    open_links: Count = pace(200_000)
    deadline: Seconds = pace(30.0)
    connect_timeout: Seconds = pace(10.0)
    read_timeout: Seconds = pace(10.0)
    batch_time: Seconds = pace(6 * 3600.0)
    max_outage: Annotated[float, Field(ge=0)] = pace(1800.0)
    max_failed_share: Fraction = pace(0.8)
    spacing: Annotated[float, Field(ge=0)] = pace(1.0)
    address_spacing: Annotated[float, Field(ge=0)] = pace(0.1)
    address_connections: Count = pace(8)
    max_crawl_delay: Seconds = pace(30.0)
    max_retry_after: Seconds = pace(120.0)
    retries: Annotated[int, Field(ge=0)] = pace(2)
    backoff: Seconds = pace(2.0)
    host_failures: Count = pace(5)
    robots: bool = True
    robots_timeout: Seconds = pace(10.0)
    robots_max_bytes: Count = 512 * 1024
    consent: list[Signal] = list(get_args(Signal))
    tdmrep: bool = False
    max_bytes: Count = 8 * 1024 * 1024
    max_redirects: Annotated[int, Field(ge=0)] = 5
    content_types: list[str] = ["text/html", "application/xhtml+xml", "text/plain"]
    nameservers: list[str] = pace([])
    allow_networks: list[str] = []
    connect_to: dict[str, str] = pace({})


class Extract(Section):
    """From HTML to text, in a child process."""

    engine: Literal["trafilatura", "trafilatura-fast", "resiliparse"] = "trafilatura"
    deadline: Seconds = 10.0
    memory_limit: Count = 2 * 1024**3
    recycle_after: Count = pace(5000)
    early_language: bool = True
    early_length: bool = True
    boilerplate: bool = True


class Language(Section):
    """Language identification by langdetect, on the start of the text."""

    keep: list[LanguageCode] = ["en"]
    min_probability: Fraction = 0.8
    max_chars: Count = 2_000
    seed: int = 0


class Quality(Section):
    """Heuristic cleaning: rules in the order in which they are tried; null switches one off."""

    min_words: Count | None = 50
    max_words: Count | None = 100_000
    min_mean_word_length: Amount | None = 3.0
    max_mean_word_length: Amount | None = 10.0
    max_hash_ratio: Amount | None = 0.1
    max_ellipsis_ratio: Amount | None = 0.1
    min_alphabetic_words: Fraction | None = 0.8
    min_stop_words: Count | None = 2
    max_bullet_lines: Fraction | None = 0.9
    max_ellipsis_lines: Fraction | None = 0.3
    max_duplicate_lines: Fraction | None = None
    max_duplicate_line_chars: Fraction | None = 0.2
    max_top_2gram_chars: Fraction | None = 0.20
    max_top_3gram_chars: Fraction | None = 0.18
    max_top_4gram_chars: Fraction | None = 0.16
    max_duplicate_5gram_chars: Fraction | None = 0.15
    max_duplicate_6gram_chars: Fraction | None = 0.14
    max_duplicate_7gram_chars: Fraction | None = 0.13
    max_duplicate_8gram_chars: Fraction | None = 0.12
    max_duplicate_9gram_chars: Fraction | None = 0.11
    max_duplicate_10gram_chars: Fraction | None = 0.10
    max_lorem_ipsum: Annotated[int, Field(ge=0)] | None = 0
    max_curly_brackets: Annotated[int, Field(ge=0)] | None = None
    min_sentences: Count | None = None
    min_punctuated_lines: Fraction | None = None
    max_short_lines: Fraction | None = None


class NearDuplicates(Section):
    """De-duplication: exact copies, and near-copies by MinHash with banding."""

    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.7
    num_perm: Annotated[int, Field(ge=2)] = 128
    shingle: Count = 5
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1
    verify: Literal["signature", "exact"] = "signature"


class Benchmark(Section):
    """A test set. fields: of a row, its text. stream: read as one text. train: its own training split."""

    path: str
    name: str | None = None
    fields: list[str] | None = None
    stream: bool | None = None
    train: str | None = None


class Overlap(Section):
    """n-gram overlap with benchmarks, and the Bloom filter of the training set."""

    benchmarks: list[Benchmark] = []
    unit: Literal["tokens", "words"] = "tokens"
    n: Count = 8
    false_positive_rate: Annotated[float, Field(gt=0, lt=1)] = 1e-8
    policy: Literal["report", "drop", "cut"] = "report"
    max_share: Fraction = 0.2
    max_run: Annotated[int, Field(ge=0)] = 20


class Shards(Section):
    """GPT-2-tokenized Parquet."""

    tokenizer: str = "gpt2"
    tokens_per_shard: Count = 100_000_000
    tokens_per_row_group: Count = 1_000_000
    heldout: Fraction = 0.05


class Settings(Section):
    """All settings: a section for each subject."""

    cluster: Cluster = Cluster()
    submissions: Submissions = Submissions()
    reddit: Reddit = Reddit()
    links: Links = Links()
    fetch: Fetch = Fetch()
    extract: Extract = Extract()
    language: Language = Language()
    quality: Quality = Quality()
    near_duplicates: NearDuplicates = NearDuplicates()
    overlap: Overlap = Overlap()
    shards: Shards = Shards()


def fingerprint(value: Any) -> str:
    """A stable hash of any JSON value: 32 hexadecimal digits of BLAKE2b over its canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
