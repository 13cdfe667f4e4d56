"""Reads the documents of a partition that no stage has dropped so far."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.batch.stage import Partition
from pipeline.corpus.schemas import OK

__all__ = ["kept_documents"]


def kept_documents(partition: Partition, columns: Sequence[str], after: str = "overlap") -> pa.Table:
    """The documents of a partition that no stage has dropped, up to the one that made the table `after`.

    columns: of `schemas.DOCUMENTS`. after: `duplicates` or `overlap`; with `overlap`, `text` is what the
    overlap policy left of it.
    """
    documents = partition.read("documents", [*columns, "reason"])
    documents = documents.filter(pc.equal(documents["reason"], OK))
    for table in ("duplicates", "overlap"):
        verdicts = partition.read(table, ["reason", *(["cut_text"] if table == "overlap" else [])])
        if table == "overlap" and "text" in columns:
            text = pc.coalesce(verdicts["cut_text"], documents["text"])
            documents = documents.set_column(documents.column_names.index("text"), "text", text)
        documents = documents.filter(pc.equal(verdicts["reason"], OK))
        if table == after:
            break
    return documents.select(list(columns))
