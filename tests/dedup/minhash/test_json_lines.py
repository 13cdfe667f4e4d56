"""JSON Lines as tables: the schema does not depend on how they are cut."""

import json
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup.files import FileError
from dedup.minhash import json_lines

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text("aé", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
    max_leaves=5,
)
RECORDS = st.lists(st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3), min_size=1, max_size=6)


@given(RECORDS, st.integers(1, 6))
def test_cuts_do_not_matter(records: list[dict[str, Any]], size: int) -> None:
    parts = [records[start : start + size] for start in range(0, len(records), size)]
    whole = json_lines.storable(json_lines.infer_schema(records))
    merged = json_lines.storable(reduce(json_lines.merge_schemas, map(json_lines.infer_schema, parts)))
    assert merged == whole
    tables = [json_lines.to_table(part, merged) for part in parts]
    assert pa.concat_tables(tables).equals(json_lines.to_table(records, whole))
    pq.write_table(tables[0], pa.BufferOutputStream())


def test_values_without_a_type_in_common_are_strings() -> None:
    records = [{"edited": False}, {"edited": 1336866367.5}, {"edited": "no"}, {"edited": None}]
    schema = json_lines.infer_schema(records)
    assert json_lines.to_table(records, schema)["edited"].to_pylist() == ["false", "1336866367.5", "no", None]


def test_columns_in_order_of_first_appearance() -> None:
    schema = json_lines.infer_schema([{"b": 1, "a": [1]}, {"c": {"x": "y"}, "b": 2.5}])
    assert schema.names == ["b", "a", "c"]
    assert schema.types == [pa.float64(), pa.list_(pa.int64()), pa.struct([("x", pa.string())])]


def test_lines() -> None:
    data = b'{"a": 1}\n\n  \r\n{"a": "\\ud800x", "b": ["\\ud83d\\ude00"]}\r\n'
    assert list(json_lines.parse(data, "file", 5)) == [(5, {"a": 1}), (8, {"a": "\ufffdx", "b": ["😀"]})]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "file, line 12: not JSON"),
        (b'{"a": "\xff"}', "file, line 12: not JSON"),
        (b"[1]", "file, line 12: expected an object, found list"),
        (b'{"a": ' + b"[" * 200_000, "file, line 12: nested too deeply"),
    ],
)
def test_what_is_no_object(line: bytes, message: str) -> None:
    with pytest.raises(FileError, match=message):
        list(json_lines.parse(json.dumps({}).encode() + b"\n" + line, "file", 10))
