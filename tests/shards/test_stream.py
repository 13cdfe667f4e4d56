import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shards import document_masking, manifest
from shards.manifest import Header
from shards.stream import DocumentReader, PackedReader
from shards.stream.row_groups import RowGroupIndex
from tests.shards.corpora import make_batch
from tests.shards.test_writer import doc_id

END = 50256
LENGTHS = st.lists(st.lists(st.integers(1, 120), max_size=8), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two batches of two shards, 22 row groups; a document of 400 tokens."""
    train = tmp_path_factory.mktemp("corpus") / "train"
    rng = np.random.default_rng(0)
    first = 0
    for batch in ("2017-11", "2017-12"):
        lengths = [rng.integers(1, 40, 12).tolist(), [*rng.integers(1, 40, 9).tolist(), 400]]
        documents = make_batch(train / batch, lengths, first=first)
        first += sum(len(ids) - 1 for ids in documents)
    return train


def tokens(windows: list[Any]) -> list[int]:
    return np.concatenate([np.ravel(w) for w in windows]).tolist() if windows else []


def every(path: Path) -> list[int]:
    return sorted(tokens([ids for batch in DocumentReader(str(path)) for _, _, ids in batch]))


def options() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"seed": st.integers(0, 9), "shuffle": st.booleans(), "interleave": st.integers(1, 6)}
    )


@settings(max_examples=25)
@given(LENGTHS, st.integers(1, 60), options(), st.data())
def test_every_token_once_over_ranks_workers_and_resumptions(
    tmp_path_factory: pytest.TempPathFactory,
    lengths: list[list[int]],
    length: int,
    order: dict[str, Any],
    data: st.DataObject,
) -> None:
    path = tmp_path_factory.mktemp("corpus") / "train"
    documents = make_batch(path, lengths)
    if not documents:
        with pytest.raises(ValueError, match="hold no tokens"):
            PackedReader(str(path), length, **order)
        return
    seen: list[Any] = []
    state = None
    for last in (False, True):
        world, workers, batch = (data.draw(st.integers(1, 3)) for _ in range(3))
        stop = 10**6 if last else data.draw(st.integers(0, 6))
        states = []
        for rank in range(world):
            reader = PackedReader(str(path), length, batch_size=batch, rank=rank, world_size=world, **order)
            if state:
                reader.load_state_dict(state)
            iterators = [reader.for_worker(worker, workers) for worker in range(workers)]
            steps = 0
            while steps < stop and (windows := next(iterators[steps % workers], None)) is not None:
                seen.append(windows)
                steps += 1
            states.append((steps, json.loads(json.dumps(reader.state_dict(steps)))))
            for iterator in iterators:
                iterator.close()  # type: ignore[attr-defined]
        taken, state = states[0]  # rank 0 has a part in every step
        assert all(steps < taken or other == state for steps, other in states)
    assert sorted(tokens(seen)) == sorted(id for ids in documents for id in ids)
    short = [windows for windows in seen if windows.shape[1] < length]
    assert len(short) <= 1


@settings(max_examples=20)
@given(order=options(), stop=st.integers(0, 30), length=st.integers(5, 60))
def test_resumes_exactly_where_it_was(corpus: Path, order: dict[str, Any], stop: int, length: int) -> None:
    def reader() -> PackedReader:
        return PackedReader(str(corpus), length, batch_size=2, **order)

    def epochs(reader: PackedReader) -> Iterator[list[list[int]]]:
        while reader.epoch < 2:
            yield from (windows.tolist() for windows in reader)

    whole = list(epochs(reader()))
    first = reader()
    iteration = epochs(first)
    before = [windows for _, windows in zip(range(stop), iteration, strict=False)]
    second = reader()
    second.load_state_dict(first.state_dict())
    iteration.close()  # type: ignore[attr-defined]
    assert before + list(epochs(second)) == whole


def test_same_steps_with_another_number_of_ranks(corpus: Path) -> None:
    def steps(world: int, n: int, state: dict[str, Any] | None) -> tuple[list[list[int]], dict[str, Any]]:
        readers = [
            PackedReader(str(corpus), 16, batch_size=6 // world, rank=rank, world_size=world, seed=3)
            for rank in range(world)
        ]
        for reader in readers:
            if state:
                reader.load_state_dict(state)
        iterators = [iter(reader) for reader in readers]
        made = [sorted(tokens([next(i) for i in iterators])) for _ in range(n)]
        return made, readers[0].state_dict()

    alone, _ = steps(1, 8, None)
    first, state = steps(2, 3, None)
    second, _ = steps(3, 5, state)
    assert first + second == alone


def test_epochs_differ_and_repeat(corpus: Path) -> None:
    def epoch(number: int, **order: Any) -> list[int]:
        reader = PackedReader(str(corpus), 16, **order)
        reader.set_epoch(number)
        return tokens(list(reader))

    assert epoch(0) == epoch(0) != epoch(1)
    assert epoch(0) != epoch(0, seed=1)
    assert sorted(epoch(0)) == sorted(epoch(1)) == sorted(epoch(0, seed=1)) == every(corpus)
    assert epoch(0, shuffle=False) == epoch(1, shuffle=False)


def test_breaking_off_and_iterating_again_starts_again(corpus: Path) -> None:
    reader = PackedReader(str(corpus), 16)
    first = next(iter(reader))
    assert (next(iter(reader)) == first).all()
    assert reader.epoch == 0
    assert reader.state_dict()["position"] == 1
    windows = list(reader)
    assert (windows[0] == first).all()
    assert reader.epoch == 1
    assert reader.state_dict()["position"] == 0
    reader.set_epoch(0)
    assert tokens(list(reader)) == tokens(windows)


def test_without_shuffle_in_the_order_of_the_files(corpus: Path) -> None:
    read = [ids for batch in DocumentReader(str(corpus), shuffle=False, batch_size=5) for _, _, ids in batch]
    assert tokens(list(PackedReader(str(corpus), 16, shuffle=False))) == tokens(read)
    files = [pq.read_table(file)["tokens"] for file in sorted(corpus.rglob("*.parquet"))]
    assert [ids.tolist() for ids in read] == [row for column in files for row in column.to_pylist()]


def test_documents_are_shuffled_whole(corpus: Path) -> None:
    reader = DocumentReader(str(corpus), batch_size=4, seed=5)
    batches = list(reader)
    documents = [document for batch in batches for document in batch]
    assert [len(batch) for batch in batches] == [4] * 11
    assert len(reader) == 11
    assert sorted(d.url for d in documents) == sorted(f"http://example.com/{n}" for n in [*range(22)] * 2)
    assert {d.doc_id for d in documents} == {doc_id(n) for n in range(22)}
    assert all(d.tokens[-1] == END and END not in d.tokens[:-1] for d in documents)
    assert max(len(d.tokens) for d in documents) == 400
    files = [
        row for file in sorted(corpus.rglob("*.parquet")) for row in pq.read_table(file)["url"].to_pylist()
    ]
    assert [d.url for d in documents] != files


def test_windows_go_over_borders_and_long_documents_over_windows(corpus: Path) -> None:
    windows = list(PackedReader(str(corpus), 300, shuffle=False))
    assert [w.shape[1] for w in windows[:-1]] == [300] * (len(windows) - 1)
    assert windows[-1].shape[1] < 300
    assert windows[0].dtype == np.uint16
    [whole] = PackedReader(str(corpus), 10**6)
    assert whole.shape == (1, len(every(corpus)))


def test_any_fsspec_path_and_several(corpus: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(corpus), "/stream-test", recursive=True)
    try:
        reader = PackedReader("memory://stream-test", 16, batch_size=3)
        local = PackedReader(str(corpus), 16, batch_size=3)
        assert tokens(list(reader)) == tokens(list(local))
        assert reader.row_groups.fingerprint == local.row_groups.fingerprint
        local.load_state_dict(reader.state_dict())
        with pytest.raises(ValueError, match="on another filesystem"):
            RowGroupIndex.of([str(corpus), "memory://stream-test"])
    finally:
        memory.rm("/stream-test", recursive=True)
    both = PackedReader([str(corpus / "2017-11"), str(corpus / "2017-12")], 16, batch_size=3)
    assert both.row_groups.fingerprint == local.row_groups.fingerprint
    assert len(PackedReader(str(corpus / "2017-11"), 16)) < len(PackedReader(str(corpus), 16))
    with pytest.raises(ValueError, match="overlap"):
        RowGroupIndex.of([str(corpus), str(corpus / "2017-11")])


def test_a_state_is_for_the_same_shards_in_the_same_order(corpus: Path) -> None:
    state = PackedReader(str(corpus), 16, seed=1).state_dict()
    for wrong in (
        PackedReader(str(corpus), 17, seed=1),
        PackedReader(str(corpus), 16, seed=2),
        PackedReader(str(corpus), 16, seed=1, interleave=2),
        PackedReader(str(corpus / "2017-11"), 16, seed=1),
        DocumentReader(str(corpus), seed=1),
    ):
        with pytest.raises(ValueError, match="can only be resumed on the same shards in the same order"):
            wrong.load_state_dict(state)


def test_threads_end_with_the_iteration(corpus: Path) -> None:
    before = threading.active_count()
    iteration = iter(PackedReader(str(corpus), 16, batch_size=2))
    next(iteration)
    iteration.close()  # type: ignore[attr-defined]
    list(PackedReader(str(corpus), 16))
    assert threading.active_count() == before


@pytest.fixture
def own(tmp_path: Path) -> Path:
    make_batch(tmp_path / "train", [[30, 40, 5], [60, 9]])
    return tmp_path / "train"


def read(path: Path) -> list[Any]:
    return list(PackedReader(str(path), 16))


def test_footers_do_where_there_is_no_manifest(own: Path) -> None:
    want = tokens(read(own))
    fingerprint = RowGroupIndex.of(str(own)).fingerprint
    (own / manifest.NAME).unlink()
    assert tokens(read(own)) == want
    assert RowGroupIndex.of(str(own)).fingerprint == fingerprint
    shard = sorted(own.glob("*.parquet"))[1]
    assert sum(w.size for w in read(shard)) == 69


def test_one_shard_of_several(own: Path) -> None:
    assert sum(w.size for w in read(sorted(own.glob("*.parquet"))[0])) == 75


def test_shards_that_are_not_those_of_the_manifest(own: Path) -> None:
    first, second = sorted(own.glob("*.parquet"))
    data = second.read_bytes()
    second.unlink()
    with pytest.raises(FileNotFoundError, match=f"{second.name} is in the manifest, but not there"):
        read(own)
    second.write_bytes(data[:-1])
    with pytest.raises(ValueError, match=f"{second.name} has {len(data) - 1} bytes, the manifest says"):
        read(own)
    second.write_bytes(data)
    (own / "train-00002-of-00002.parquet").write_bytes(data)
    with pytest.raises(ValueError, match=r"train-00002-of-00002.* is there, but not in the manifest"):
        read(own)
    (own / "train-00002-of-00002.parquet").unlink()
    reader = PackedReader(str(own), 16)
    first.unlink()
    with pytest.raises(FileNotFoundError):
        list(reader)
    first.write_bytes(data)
    with pytest.raises(ValueError, match="row group 0 is not what the manifest says; the file was changed"):
        list(reader)


def test_damaged_shard(own: Path) -> None:
    shard = sorted(own.glob("*.parquet"))[0]
    column = pq.ParquetFile(shard).metadata.row_group(0).column(3)
    data = bytearray(shard.read_bytes())
    data[column.data_page_offset + column.total_compressed_size - 5] ^= 1
    shard.write_bytes(data)
    with pytest.raises(ValueError, match=f"{shard.name}: row group 0 cannot be read"):
        read(own)


def test_foreign_vocabulary(own: Path) -> None:
    path = sorted(own.glob("*.parquet"))[1]
    header = Header.of(pq.ParquetFile(path).metadata, "")
    other = msgspec.structs.replace(header, vocabulary="f00").encode()
    table = pq.read_table(path)
    reader = PackedReader(str(own), 16)
    pq.write_table(table.replace_schema_metadata(other), path)
    with pytest.raises(ValueError, match=r"ids of gpt2 \(f00\), expected gpt2 \(06dd"):
        list(reader)
    (own / manifest.NAME).unlink()
    with pytest.raises(ValueError, match=r"00001-of-00002.parquet: ids of gpt2 \(f00\), in .*00000-of"):
        read(own)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 2, "world_size": 2}, "rank 2 of 2: ranks are 0 to world_size - 1"),
        ({"batch_size": 0}, "at least 1"),
        ({"interleave": 0}, "at least 1"),
        ({"length": 0}, "at least 1"),
    ],
)
def test_wrong_options(corpus: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PackedReader(str(corpus), **{"length": 16, **options})


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no shards"):
        PackedReader(str(tmp_path), 16)
    make_batch(tmp_path / "empty", [[]])
    with pytest.raises(ValueError, match="empty: the shards hold no tokens"):
        PackedReader(str(tmp_path / "empty"), 16)


WINDOWS = st.lists(st.lists(st.integers(0, 3), min_size=7, max_size=7), min_size=1, max_size=4)


@given(WINDOWS)
def test_document_masking(rows: list[list[int]]) -> None:
    windows = np.array(rows, np.uint16)
    numbers, places, lengths = [], [], [0]
    for row in rows:
        number = place = 0
        for column, id in enumerate(row):
            numbers.append(number)
            places.append(place)
            place += 1
            if id == 0 or column == 6:
                number, place = number + (id == 0), 0
                lengths.append(len(numbers))
    assert document_masking.document_ids(windows, 0).ravel().tolist() == numbers
    assert document_masking.position_ids(windows, 0).ravel().tolist() == places
    assert document_masking.cu_seqlens(windows, 0).tolist() == lengths
