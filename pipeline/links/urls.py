"""URLs as people post them -> URLs that can be requested, and the canonical URL that decides identity.

w3lib applies the standards. Here is what dumps need before it (HTML entities, missing schemes), what identity
needs after it (tracking parameters, default ports), and a short cut for the many URLs that are canonical
already. The tracking parameters are a list of our own: courlan's pattern takes `gallery`, `cid`, `uid` or
`source` for one, and would make different pages one link.
"""

# ruff: noqa: SIM905 (names are easier to read and to keep in words than in lists)

import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache

import tldextract
from w3lib.url import canonicalize_url, safe_url_string

from pipeline.settings import Links

MAX_URL = 8_000  # characters: as long as RFC 9110, section 4.1, asks every server to support
MAX_NESTING = 4  # of percent encoding within percent encoding
DEFAULT_PORTS = {"http": 80, "https": 443}
EDGES = "".join(map(chr, range(0x21))) + "\x7f\x85\xa0\u1680\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"

# Click and campaign ids: from Firefox's query stripping, ClearURLs' global rules, AdGuard's general list.
TRACKING_PREFIXES = ("utm_", "mtm_", "hsa_", "pk_", "piwik_", "oly_", "vero_", "fb_action_", "ns_")
TRACKING = frozenset(
    "__s _ga _gl _hsenc _hsmi _openstat dclid epik fb_ref fb_source fbclid gbraid gclid gclsrc igsh igshid"
    " li_fat_id mc_cid mc_eid mkt_tok msclkid rb_clickid ref_src sccid srsltid ttclid twclid wbraid wickedid"
    " xtor yclid".split()
)

REDDIT = frozenset({"reddit.com", "redd.it", "redditmedia.com", "redditstatic.com"})
# Hosts of little or no text, after OpenWebText's filter (jcpeterson/openwebtext, url_utils.py) without what
# it lists for being hard to scrape. The large ones are missing from the thousand most frequent domains that
# OpenAI published for WebText as well.
IMAGE_HOSTS = frozenset(
    "i.redd.it preview.redd.it i.reddituploads.com imgur.com gfycat.com redgifs.com giphy.com flickr.com"
    " staticflickr.com flic.kr minus.com photobucket.com tinypic.com imageshack.us imageshack.com twimg.com"
    " fbcdn.net gyazo.com sli.mg magaimg.net imgflip.com quickmeme.com qkme.me memegenerator.net livememe.com"
    " deviantart.net gifsound.com prntscr.com postimg.org postimg.cc ibb.co".split()
)
VIDEO_HOSTS = frozenset(
    "v.redd.it youtube.com youtu.be youtube-nocookie.com vimeo.com dailymotion.com dai.ly"
    " twitch.tv streamable.com liveleak.com vine.co vid.me tiktok.com".split()
)
AUDIO_HOSTS = frozenset("soundcloud.com bandcamp.com spotify.com mixcloud.com radioreddit.com".split())
SOCIAL_HOSTS = frozenset(  # nothing to read without an account or scripts
    "twitter.com x.com facebook.com fb.com instagram.com snapchat.com discord.gg discord.com".split()
)
MEDIA_EXTENSIONS = (
    "jpg jpeg png gif gifv webp svg bmp tif tiff ico"  # images
    " mp4 m4v webm ogv avi mov wmv flv mkv mpg mpeg 3gp swf"  # video
    " mp3 m4a wav ogg oga flac aac wma mid"  # audio
    " zip rar 7z gz tgz bz2 xz tar iso exe msi dmg apk jar deb rpm bin torrent"  # archives and programs
).split()

HOST_REASONS = {
    **dict.fromkeys(REDDIT, "reddit_internal"),
    **dict.fromkeys(IMAGE_HOSTS | VIDEO_HOSTS | AUDIO_HOSTS, "media_host"),
    **dict.fromkeys(SOCIAL_HOSTS, "social_host"),
    "wikipedia.org": "wikipedia",
}

_HOSTED = re.compile(r"https?://(?!(?i:https?:))[^/?#&<>]+(?:[/?#]|$)")
_PRINTABLE = re.compile(r"[!-\[\]-~]+")  # ASCII without the backslash
_PLAIN = re.compile(rf"(?={_HOSTED.pattern})[!-%'-\[\]-~]+")  # the same without "&", which may be "&amp;"
_AMPERSAND = re.compile(r"&(?:amp;)+")
_BREAKS = str.maketrans("", "", "\t\r\n")  # nothing in a URL, says the URL standard
_SCHEME = re.compile(r"[/\\\s]*(?:(https?):[/\\\s]*)+", re.IGNORECASE)
_BARE = re.compile(r"[\w-]+(?:\.[\w-]+)+(?::\d+)?(?:[/?#]|$)")
_LABELS = r"(?=[^/:]{1,253}(?:[/:]|$))(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}"
_AUTHORITY = re.compile(rf"({_LABELS}|\[[0-9a-f:.]+\])\.?(?::(\d{{1,5}}))?", re.ASCII)
_CANONICAL = re.compile(rf"https?://{_LABELS}/(?!\.)(?:[\w~!$&'()*+,=:@.-]|/(?!\.))*", re.ASCII)
_HOST = re.compile(r"https?://(?:\[([^\]]*)\]|([^/:?#]*))")
_MEDIA = re.compile(rf"\.(?:{'|'.join(MEDIA_EXTENSIONS)})$", re.IGNORECASE)
_suffixes = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)  # the package's list: no download


def clean(url: str) -> str | None:
    """The URL as it can be requested, or None if it is no URL of HTTP.

    Undoes Reddit's HTML escaping (once or many times), trims, adds a scheme to "example.com/…" and "//…", and
    quotes what is not printable ASCII, the host by IDNA.
    """
    if _PLAIN.fullmatch(url):
        return url
    url = _AMPERSAND.sub("&", url.translate(_BREAKS)).replace("&lt;", "<").replace("&gt;", ">").strip(EDGES)
    if scheme := _SCHEME.match(url):
        url = f"{scheme[1].lower()}://{url[scheme.end() :]}"
    elif url.startswith("//") or _BARE.match(url):
        url = f"http://{url.lstrip('/')}"
    else:
        return None
    if not _PRINTABLE.fullmatch(url):
        try:
            url = safe_url_string(url)
        except ValueError:
            return None
    return url if _HOSTED.match(url) and _PRINTABLE.fullmatch(url) else None


def canonical(url: str) -> str | None:
    """The canonical form of a URL, or None if it cannot be one of HTTP (no host, credentials, too long).

    Of the URL that `clean` gives: w3lib's canonical form (RFC 3986: case, percent encoding, dot segments;
    sorted query, no fragment), without default port, dot after the host, and tracking parameters. Scheme
    and "www." stay: both forms need not be the same page. Idempotent.
    """
    cleaned = clean(url)
    if cleaned is None or len(cleaned) > MAX_URL:
        return None
    if _CANONICAL.fullmatch(cleaned):
        return cleaned
    try:
        result = _canonicalize(cleaned)
        for _ in range(MAX_NESTING):
            if not result or "%" not in result or (again := _canonicalize(result)) == result:
                return result
            result = again  # "%%34%31" -> "%41" -> "A"
    except ValueError:
        pass
    return None


def link_id(canonical_url: str) -> str:
    """The identity of a link: 32 hexadecimal digits of BLAKE2b-128 over its canonical URL."""
    return hashlib.blake2b(canonical_url.encode(), digest_size=16).hexdigest()


def host(url: str) -> str:
    """The host of a canonical URL, without port and brackets."""
    match = _HOST.match(url)
    return (match[1] or match[2]) if match else ""


def registered_domain(url: str) -> str:
    """The domain that somebody registered, "bbc.co.uk" of news.bbc.co.uk, or the host if it has none.

    By the public suffix list in the tldextract package; nothing is downloaded.
    """
    return _registered_domain(host(url))


@lru_cache(maxsize=1 << 16)
def site(host: str) -> str:
    """The part of a host that is under one administration: "bbc.co.uk", "somebody.blogspot.com".

    The registered domain by the whole public suffix list, its private part (hosting services) included.
    """
    parts = _suffixes.extract_str(host, include_psl_private_domains=True)
    return f"{parts.domain}.{parts.suffix}" if parts.domain and parts.suffix else host


def reject(url: str, settings: Links) -> str | None:
    """Why a canonical URL is not worth fetching, or None.

    Reasons: `reddit_internal`, `media_host` (images, video, audio), `social_host`, `wikipedia` (all
    languages, unless the settings keep it), `excluded_domain` (of the settings, subdomains too),
    `media_extension`.
    """
    name = host(url)
    reason = _host_reason(name)
    if reason and not (reason == "wikipedia" and settings.wikipedia):
        return reason
    if settings.excluded and not settings.excluded.isdisjoint(_parents(name)):
        return "excluded_domain"
    return "media_extension" if _MEDIA.search(url.partition("?")[0]) else None


def filter_identity(settings: Links) -> dict[str, object]:
    """What `reject` goes by, ready for JSON: two settings with the same identity reject the same URLs."""
    return {"exclude_domains": sorted(settings.excluded), "wikipedia": settings.wikipedia}


def _canonicalize(url: str) -> str | None:
    scheme, _, rest = canonicalize_url(url).partition("://")
    authority, _, rest = rest.partition("/")
    path, _, query = rest.partition("?")
    match = _AUTHORITY.fullmatch(authority)
    if not match:
        return None
    name, port = match[1], int(match[2] or DEFAULT_PORTS[scheme])
    if port != DEFAULT_PORTS[scheme]:
        name = f"{name}:{port}"
    query = "&".join(part for part in query.split("&") if not _is_tracking(part.partition("=")[0].lower()))
    return f"{scheme}://{name}/{path}?{query}" if query else f"{scheme}://{name}/{path}"


def _is_tracking(name: str) -> bool:
    return name in TRACKING or name.startswith(TRACKING_PREFIXES)


@lru_cache(maxsize=1 << 16)
def _registered_domain(host: str) -> str:
    parts = _suffixes.extract_str(host)
    return f"{parts.domain}.{parts.suffix}" if parts.domain and parts.suffix else host


@lru_cache(maxsize=1 << 16)
def _host_reason(host: str) -> str | None:
    domain = _registered_domain(host)
    return HOST_REASONS.get(host) or HOST_REASONS.get(domain)


def _parents(host: str) -> Iterator[str]:
    """ "a.example.com", "example.com", "com"."""
    while host:
        yield host
        host = host.partition(".")[2]
