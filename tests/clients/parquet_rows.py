"""Prints the rows of a Parquet file as DuckDB and as PyArrow read them, one JSON line each."""

import json
import sys

import duckdb
import pyarrow.parquet

path = sys.argv[1]


def plain(value):
    if isinstance(value, dict):
        value = list(value.items())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode()
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)


duckdb.execute("SET TimeZone = 'UTC'")
columns = [column[0] for column in duckdb.execute(f"DESCRIBE SELECT * FROM '{path}'").fetchall()]
texts = ", ".join(f'CAST("{column}" AS VARCHAR)' for column in columns)
print(json.dumps(duckdb.execute(f"SELECT {texts} FROM '{path}'").fetchall()))
rows = pyarrow.parquet.read_table(path).to_pylist()
print(json.dumps([[plain(row[column]) for column in columns] for row in rows]))
