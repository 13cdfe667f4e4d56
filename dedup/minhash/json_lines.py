"""JSON Lines as Arrow tables, with a schema that does not depend on how the lines are cut into partitions."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from dedup.files import FileError

__all__ = ["infer_schema", "merge_schemas", "parse", "storable", "to_table"]

Record = Mapping[str, Any]


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
        except ValueError as error:  # not JSON, or not UTF-8
            raise FileError(f"{place}: not JSON: {error}") from error
        except RecursionError as error:
            raise FileError(f"{place}: nested too deeply") from error
        if not isinstance(value, dict):
            raise FileError(f"{place}: expected an object, found {type(value).__name__}")
        yield number, _valid(value) if b"\\u" in line else value


def infer_schema(records: Sequence[Record]) -> pa.Schema:
    """The columns of some records, in order of first appearance; missing values are null.

    A column whose values have no type in common is a string.
    """
    names = dict.fromkeys(name for record in records for name in record)
    return pa.schema([(name, _infer([record.get(name) for record in records])) for name in names])


def merge_schemas(left: pa.Schema, right: pa.Schema) -> pa.Schema:
    """The schema for the rows of both, as `infer_schema` would find it for all records at once."""
    types = dict(zip(left.names, left.types, strict=True))
    for field in right:
        known = types.get(field.name, pa.null())
        try:
            pair = [pa.schema([("column", known)]), pa.schema([("column", field.type)])]
            types[field.name] = pa.unify_schemas(pair, promote_options="permissive").field(0).type
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            types[field.name] = pa.string()
    return pa.schema(list(types.items()))


def storable(schema: pa.Schema) -> pa.Schema:
    """The schema with strings for what Parquet cannot store: objects that are empty in every record."""
    return pa.schema([(field.name, pa.string() if _is_empty(field.type) else field.type) for field in schema])


def to_table(records: Sequence[Record], schema: pa.Schema) -> pa.Table:
    """The records as a table. In a column of strings, values that are not strings are written as JSON."""
    columns = []
    for field in schema:
        values = [record.get(field.name) for record in records]
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            values = [
                value if value is None or isinstance(value, str) else json.dumps(value) for value in values
            ]
        elif pa.types.is_floating(field.type):
            values = [value if value is None else float(value) for value in values]
        columns.append(pa.array(values, field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _infer(values: list[Any]) -> pa.DataType:
    try:
        return pa.infer_type(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        found = {type(value) for value in values if value is not None}
        fits = found <= {int, float} and all(
            isinstance(value, float) or abs(value) < 2**63 for value in values if value is not None
        )
        return pa.float64() if found == {int, float} and fits else pa.string()


def _is_empty(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.num_fields == 0 or any(_is_empty(field.type) for field in kind)
    return pa.types.is_list(kind) and _is_empty(kind.value_type)


def _valid(value: Any) -> Any:
    """The value with U+FFFD in place of lone surrogates."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_valid(name): _valid(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_valid(item) for item in value]
    return value
