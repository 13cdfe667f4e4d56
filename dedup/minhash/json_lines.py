"""JSON Lines as Arrow tables, with a schema that does not depend on how the lines are cut into partitions.

The types of values are joined in a semilattice: null, then int64 and double, bool, lists and structs by their
elements; string is above all. Where a value is not of its column's type it is written as JSON, into a string.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

import pyarrow as pa

from dedup.files import FileError

__all__ = ["Record", "infer_schema", "merge_schemas", "parse", "storable", "to_table"]

Record = Mapping[str, Any]
_MAX_DEPTH = 32  # of lists and objects; what is nested deeper is written as JSON
_SCALARS = {type(None): pa.null(), bool: pa.bool_(), float: pa.float64(), str: pa.string()}


def parse(data: bytes, source: str, first_line: int) -> Iterator[tuple[int, Record]]:
    """The objects of some lines with their line numbers; blank lines are skipped.

    source, first_line: for errors, the file that the lines come from and the number of the first, from 0.
    Lone surrogates become U+FFFD, as Arrow holds valid Unicode only. Raises FileError.
    """
    for number, line in enumerate(data.split(b"\n"), first_line):
        if not line.strip():
            continue
        place = f"{source}, line {number + 1}"
        try:
            value = json.loads(line)
            value = _valid(value) if b"\\u" in line else value
        except ValueError as error:  # not JSON, or not UTF-8
            raise FileError(f"{place}: not JSON: {error}") from error
        except RecursionError as error:
            raise FileError(f"{place}: nested too deeply") from error
        if not isinstance(value, dict):
            raise FileError(f"{place}: expected an object, found {type(value).__name__}")
        yield number, value


def infer_schema(records: Sequence[Record]) -> pa.Schema:
    """The columns of some records, in order of first appearance; missing values are null."""
    names = dict.fromkeys(name for record in records for name in record)
    return pa.schema([(name, _joined(record.get(name) for record in records)) for name in names])


def merge_schemas(left: pa.Schema, right: pa.Schema) -> pa.Schema:
    """The schema for the rows of both: for JSON Lines what `infer_schema` finds for all records at once."""
    types = dict(zip(left.names, left.types, strict=True))
    for field in right:
        types[field.name] = _join(types.get(field.name, pa.null()), field.type)
    return pa.schema(list(types.items()))


def storable(schema: pa.Schema) -> pa.Schema:
    """The schema with strings for what Parquet cannot store: objects that are empty in every record."""
    fields = [field.with_type(pa.string()) if _has_no_fields(field.type) else field for field in schema]
    return pa.schema(fields, schema.metadata)


def to_table(records: Sequence[Record], schema: pa.Schema) -> pa.Table:
    """The records as a table. Raises ValueError or TypeError for a value that a column cannot hold."""
    columns = [
        pa.array([_convert(record.get(field.name), field.type) for record in records], field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _joined(values: Iterable[Any], depth: int = 0) -> pa.DataType:
    """The type that holds all of some values."""
    kinds: dict[pa.DataType, None] = dict.fromkeys(_type(value, depth) for value in values)
    return reduce(_join, kinds, pa.null())


def _type(value: Any, depth: int) -> pa.DataType:
    if isinstance(value, list | dict) and depth == _MAX_DEPTH:
        return pa.string()
    if isinstance(value, list):
        return pa.list_(_joined(value, depth + 1))
    if isinstance(value, dict):
        return pa.struct([(name, _type(item, depth + 1)) for name, item in value.items()])
    if type(value) is int:
        return pa.int64() if -(2**63) <= value < 2**63 else pa.string()
    return _SCALARS[type(value)]


def _join(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    """The least type that holds the values of both."""
    if left == right or pa.types.is_null(right):
        return left
    if pa.types.is_null(left):
        return right
    if pa.types.is_list(left) and pa.types.is_list(right):
        return pa.list_(_join(left.value_type, right.value_type))
    if pa.types.is_struct(left) and pa.types.is_struct(right):
        types = {field.name: field.type for field in left}
        for field in right:
            types[field.name] = _join(types.get(field.name, pa.null()), field.type)
        return pa.struct(list(types.items()))
    try:  # of Parquet: numbers and strings of several widths
        pair = [pa.schema([("column", kind)]) for kind in (left, right)]
        return pa.unify_schemas(pair, promote_options="permissive").field(0).type
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.string()


def _convert(value: Any, kind: pa.DataType) -> Any:
    """The value as `pa.array` takes it for a type."""
    if value is None or isinstance(value, str):
        return value
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return json.dumps(value, ensure_ascii=False)
    if pa.types.is_floating(kind):
        return float(value)
    if isinstance(value, list) and pa.types.is_list(kind):
        return [_convert(item, kind.value_type) for item in value]
    if isinstance(value, dict) and pa.types.is_struct(kind):
        return {name: _convert(item, kind.field(name).type) for name, item in value.items()}
    return value


def _has_no_fields(kind: pa.DataType) -> bool:
    """Whether it is, or contains, a struct without fields."""
    if pa.types.is_struct(kind):
        return kind.num_fields == 0 or any(_has_no_fields(field.type) for field in kind)
    return pa.types.is_list(kind) and _has_no_fields(kind.value_type)


def _valid(value: Any) -> Any:
    """The value with U+FFFD in place of lone surrogates."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_valid(name): _valid(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_valid(item) for item in value]
    return value
