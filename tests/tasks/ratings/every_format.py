"""The same table in every format that is read."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq

FORMATS = ("csv", "parquet", "jsonl", "json", "xlsx")
Rows = Sequence[dict[str, Any]]


def write_table(path: Path, rows: Rows) -> Path:
    """Rows of the same keys, by the end of the file's name; an empty row is a blank line, or none in Parquet and JSON.

    None is an empty cell. Floats are written whole.
    """
    names = list(next(row for row in rows if row))
    filled = [row for row in rows if row]
    match path.suffix:
        case ".parquet":
            pq.write_table(pa.table({name: [row[name] for row in filled] for name in names}), path)
        case ".json":
            path.write_text(json.dumps(filled), "utf-8")
        case ".jsonl":
            path.write_text("".join(f"{json.dumps(row) if row else ''}\n" for row in rows), "utf-8")
        case ".xlsx":
            book = openpyxl.Workbook()
            for cells in (names, *([row.get(name) for name in names] for row in rows)):
                book.active.append(cells)
            book.save(path)
        case _:
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                for cells in (names, *([row[name] for name in names] if row else [] for row in rows)):
                    writer.writerow(cells)
    return path
