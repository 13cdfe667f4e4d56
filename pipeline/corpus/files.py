"""A corpus on storage: named files, each there whole or not at all, and the records of its batches.

    corpus.json                              format version and id of the corpus
    batches/<batch>.json                     inputs, settings, state; `committed` is written last of all
    <table>/<batch>/…                        see `pipeline.corpus.partitions`

Every path is an fsspec URL. A file is written under another name, or elsewhere, and moved to its place when
it is complete; on object stores a put is atomic.
"""

import json
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import fsspec.implementations.local

from pipeline.errors import UserError, as_user_error

__all__ = ["FORMAT", "Corpus"]

FORMAT = 1


@dataclass(frozen=True)
class Corpus:
    """A corpus at an fsspec URL. Cheap to pickle: tasks carry it."""

    url: str

    @cached_property
    def fs(self) -> Any:
        """The fsspec filesystem of the corpus."""
        return self._located[0]

    @cached_property
    def root(self) -> str:
        """The corpus's path on its filesystem."""
        return str(self._located[1]).rstrip("/")

    @cached_property
    def _located(self) -> tuple[Any, str]:
        with as_user_error(self.url):
            located: tuple[Any, str] = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        return located

    def __getstate__(self) -> dict[str, str]:
        return {"url": self.url}

    @property
    def is_local(self) -> bool:
        """Whether files can be opened by path."""
        return isinstance(self.fs, fsspec.implementations.local.LocalFileSystem)

    @classmethod
    def open(cls, url: str) -> "Corpus":
        """The corpus at `url`. Raises UserError if there is none, or one of another format."""
        corpus = cls(url)
        record = corpus._record()
        if record is None:
            raise UserError(f"{url}: no corpus here (corpus.json is missing)")
        if record.get("format") != FORMAT:
            raise UserError(
                f"{url}: a corpus of format {record.get('format')}, this version reads format {FORMAT}"
            )
        return corpus

    @classmethod
    def create(cls, url: str) -> "Corpus":
        """The corpus at `url`, made if the place is empty.

        Raises UserError if the place cannot be written, or has something else in it.
        """
        corpus = cls(url)
        if corpus._record() is None:
            if corpus.exists("") and corpus.names(""):
                raise UserError(f"{url}: not a corpus and not empty; choose another --corpus")
            with as_user_error(f"{url}: cannot write the corpus", Exception):
                corpus.write_json("corpus.json", {"format": FORMAT, "id": uuid.uuid4().hex})
        return cls.open(url)

    @property
    def id(self) -> str:
        """A random identifier of the corpus, by which reports name it."""
        return str((self._record() or {}).get("id"))

    def _record(self) -> dict[str, Any] | None:
        with (
            as_user_error(f"{self.url}: cannot read the corpus", Exception),
            as_user_error(f"{self.url}: corpus.json is damaged", json.JSONDecodeError),
        ):
            return self.read_json("corpus.json")

    def path(self, name: str) -> str:
        """The path on the filesystem of a file or directory of the corpus."""
        return f"{self.root}/{name}" if name else self.root

    def exists(self, name: str) -> bool:
        """Whether there is a file or directory of that name."""
        return bool(self.fs.exists(self.path(name)))

    def names(self, name: str) -> list[str]:
        """Names (last components) below a directory, sorted; none if it does not exist."""
        try:
            return sorted(Path(path).name for path in self.fs.ls(self.path(name), detail=False))
        except FileNotFoundError:
            return []

    def read_json(self, name: str) -> dict[str, Any] | None:
        """A JSON object, or None if the file does not exist. Raises json.JSONDecodeError if it is damaged."""
        try:
            value = json.loads(self.fs.cat_file(self.path(name)))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except UnicodeDecodeError as error:
            raise json.JSONDecodeError(str(error), "", 0) from error
        if not isinstance(value, dict):
            raise json.JSONDecodeError("not an object", "", 0)
        return value

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Writes a JSON object, whole or not at all."""
        self.write_text(name, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Writes a UTF-8 file, whole or not at all."""
        with self.writing(name) as path:
            path.write_text(text, encoding="utf-8")

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """A local path to write to; it becomes `name` when the block ends without an exception."""
        target = self.path(name)
        if self.is_local:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            local = Path(target).with_name(f".{Path(target).name}.{uuid.uuid4().hex}.tmp")
            try:
                yield local
                local.replace(target)
            finally:
                local.unlink(missing_ok=True)
        else:
            with tempfile.TemporaryDirectory() as directory:
                local = Path(directory) / Path(target).name
                yield local
                self.fs.put_file(str(local), target)

    def put(self, local: Path, name: str) -> int:
        """Moves a finished local file into the corpus. Returns its size in bytes."""
        size = local.stat().st_size
        with self.writing(name) as path:
            shutil.move(local, path)
        return size

    def fetch(self, name: str, scratch: Path) -> Path:
        """A local path of a file of the corpus: itself, or a copy in `scratch`."""
        if self.is_local:
            return Path(self.path(name))
        local = scratch / Path(name).name
        self.fs.get_file(self.path(name), str(local))
        return local

    def remove(self, name: str) -> None:
        """Removes a file, or a directory with all that is in it, and directories that this leaves empty."""
        if not self.exists(name):
            return
        self.fs.rm(self.path(name), recursive=True)
        if self.is_local:
            with suppress(OSError):  # not empty: nor are those above it
                for parent in PurePosixPath(name).parents[:-1]:
                    Path(self.path(str(parent))).rmdir()

    def batches(self) -> dict[str, dict[str, Any]]:
        """The records of all batches by name: committed ones in the order of their commits, then others."""
        names = [name.removesuffix(".json") for name in self.names("batches") if name.endswith(".json")]
        records = {name: self.read_json(f"batches/{name}.json") or {} for name in names}
        return dict(
            sorted(records.items(), key=lambda item: (item[1].get("sequence") or float("inf"), item[0]))
        )

    def committed(self) -> list[str]:
        """Names of the committed batches, oldest first."""
        return [name for name, record in self.batches().items() if record.get("state") == "committed"]
