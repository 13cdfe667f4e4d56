"""The directory that a command writes its files to."""

from collections.abc import Iterator
from contextlib import contextmanager

import fsspec

from dedup.files import FileError

__all__ = ["output_directory"]


@contextmanager
def output_directory(url: str) -> Iterator[str]:
    """Makes a directory, or takes an empty one; gives its URL without a slash at the end.

    Empties it if anything is raised in the block. Raises FileError if there is something in it already.
    """
    fs, path = fsspec.url_to_fs(url)
    if fs.exists(path) and (fs.isfile(path) or fs.ls(path, detail=False)):
        raise FileError(f"{url}: exists and is not empty; name another directory, or delete it")
    fs.makedirs(path, exist_ok=True)
    try:
        yield fs.unstrip_protocol(path).rstrip("/")
    except BaseException:
        fs.invalidate_cache()
        for child in fs.ls(path, detail=False) if fs.exists(path) else []:
            fs.rm(child, recursive=True)
        raise
