"""Row groups in memory while somebody needs them, loaded by threads before anybody does."""

import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Generic, NamedTuple, TypeVar

import fsspec.implementations.local
import pyarrow as pa
import pyarrow.parquet as pq

from shards.layout import Layout
from shards.manifest import Header, RowGroup, open_parquet, row_groups
from shards.order import Span

Group = TypeVar("Group")

_FOOTERS = 64  # kept in memory


class Plan(NamedTuple):
    """What a step needs: the spans of each of its items, and where the job is after it."""

    items: list[list[Span]]
    groups: frozenset[int]
    done: int


class Loaded(NamedTuple, Generic[Group]):
    """A plan and its row groups."""

    plan: Plan
    groups: Mapping[int, Group]


def read_ahead(
    plans: Iterable[Plan], load: Callable[[int], Group], *, items: int, threads: int
) -> Iterator[Loaded[Group]]:
    """Every plan with its row groups, of which those of the next `items` items are loaded or being loaded.

    A row group is dropped when nothing in that distance needs it. What `load` raises is raised at the plan
    that needs it.
    """
    coming = iter(plans)
    queue: deque[Plan] = deque()
    users: Counter[int] = Counter()
    loading: dict[int, Future[Group]] = {}
    ahead = 0
    pool = ThreadPoolExecutor(threads, thread_name_prefix="shards")
    at_exit = sys.is_finalizing
    try:
        while True:
            while ahead < items and (plan := next(coming, None)) is not None:
                for group in plan.groups:
                    users[group] += 1
                    if group not in loading:
                        loading[group] = pool.submit(load, group)
                queue.append(plan)
                ahead += len(plan.items)
            if not queue:
                return
            plan = queue.popleft()
            ahead -= len(plan.items)
            yield Loaded(plan, {group: loading[group].result() for group in plan.groups})
            for group in plan.groups:
                users[group] -= 1
                if not users[group]:
                    del users[group], loading[group]
    finally:
        if not at_exit():  # the threads have ended by then, and what shutdown needs may be gone
            pool.shutdown(wait=True, cancel_futures=True)


class Tables:
    """Reads row groups of a layout, as threads ask for them. Footers are kept, files are not."""

    def __init__(self, layout: Layout, columns: list[str]) -> None:
        self._layout = layout
        self._columns = columns
        self._footer = lru_cache(_FOOTERS)(self._read_footer)

    def read(self, group: int) -> pa.Table:
        """The columns of a row group.

        Raises FileNotFoundError, and ValueError if the file is damaged or not the one of the layout.
        """
        number, index = int(self._layout.file[group]), int(self._layout.index[group])
        name = self._layout.files[number]
        metadata = self._footer(number)
        counts = row_groups(metadata)[index : index + 1]
        if counts != (RowGroup(int(self._layout.documents[group]), int(self._layout.tokens[group])),):
            raise ValueError(f"{name}: row group {index} is not what the manifest says; the file was changed")
        try:
            with self._open(name) as file:
                parquet = pq.ParquetFile(
                    file, metadata=metadata, pre_buffer=True, page_checksum_verification=True
                )
                return parquet.read_row_group(index, columns=self._columns, use_threads=False)
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"{name}: row group {index} cannot be read: {reason}") from error

    def _read_footer(self, number: int) -> pq.FileMetaData:
        name = self._layout.files[number]
        with self._open(name) as file:
            metadata = open_parquet(file, name).metadata
        header = Header.of(metadata, name)
        if header.tokens_as != self._layout.format:
            raise ValueError(
                f"{name}: ids of {header.tokenizer} ({header.vocabulary}), "
                f"expected {self._layout.format.tokenizer} ({self._layout.format.vocabulary})"
            )
        return metadata

    def _open(self, name: str) -> pa.NativeFile:
        if isinstance(self._layout.fs, fsspec.implementations.local.LocalFileSystem):
            return pa.OSFile(name)
        # pyarrow asks for the byte ranges that it needs; fsspec's own read-ahead would fetch megabytes more
        return pa.PythonFile(self._layout.fs.open(name, "rb", cache_type="none"), mode="r")
