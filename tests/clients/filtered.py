"""Asks for rows of the corpus by a value of each column, so that a reader passes over what cannot have them: by statistics, Bloom
filters and whatever else it looks into. What it finds is held against the records.

Arguments: a folder as for corpus.py, whose records stand in the order of their values; the reader's name. It prints how many
questions were asked of each object; a table of those with other rows goes to stderr, and the exit code says that there are some.

What a reader does not find for a reason of its own is in `KNOWN`, and each is proven: where it is no longer so, that fails.
"""

import datetime
import decimal
import json
import operator
import pathlib
import sys
import tempfile

import corpus

# Columns of these are asked for; each value is one that compares as the reader compares them.
ORDERED = {
    "boolean": lambda cell: cell,
    "tinyint": int,
    "smallint": int,
    "int": int,
    "bigint": int,
    "float": float.fromhex,
    "double": float.fromhex,
    "decimal": decimal.Decimal,
    "string": str.encode,
    "varchar": str.encode,
    "char": str.encode,
    "binary": bytes.fromhex,
    "date": str,
    "timestamp": int,
}
SIGNS = {"=": operator.eq, "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}


def time_of(micros):
    return corpus.EPOCH + datetime.timedelta(microseconds=micros)


def of_duckdb(path):
    import duckdb

    duckdb.execute("SET TimeZone = 'UTC'")
    types = {name: kind for name, kind, *_ in duckdb.execute(f"DESCRIBE FROM '{path}'").fetchall()}

    def ask(name, word, sign, value):
        if word == "timestamp":
            # Years have four digits in it.
            value = time_of(value).isoformat(sep=" ")
            value = value if "TIME ZONE" in types[name] else value.removesuffix("+00:00")
        elif word in ("string", "varchar", "char"):
            value = value.decode()
        elif word == "decimal":
            value = f"{value:f}"
        sql = f"SELECT row FROM '{path}' WHERE {name} {sign} CAST(? AS {types[name]})"
        return [row for (row,) in duckdb.execute(sql, [value]).fetchall()]

    return ask


def of_pyarrow(path):
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    types = {field.name: field.type for field in pq.read_schema(path)}

    def ask(name, word, sign, value):
        kind = types[name]
        if word == "timestamp":
            unit = "ms" if kind.unit == "ms" else "us"
            kind, value = pa.timestamp(unit, tz=kind.tz), value // (1000 if unit == "ms" else 1)
        elif word == "date":
            value = datetime.date.fromisoformat(value)
        elif word in ("string", "varchar", "char"):
            value = value.decode()
        test = SIGNS[sign](pc.field(name), pa.scalar(value, kind))
        table = pq.read_table(path, columns=["row"], filters=test, coerce_int96_timestamp_unit="us")
        return table["row"].to_pylist()

    return ask


READERS = {"duckdb": of_duckdb, "pyarrow": of_pyarrow}


def duckdb_escapes_bytes():
    """DuckDB asks a Bloom filter for the text that it shows of bytes, and so passes over rows that have them: in its own
    objects, too."""
    import duckdb

    with tempfile.TemporaryDirectory() as folder:
        own = f"{folder}/own.parquet"
        duckdb.execute(f"COPY (SELECT '\\xFF\\x00'::BLOB AS y FROM range(9000)) TO '{own}' (FORMAT parquet)")
        found = duckdb.execute(f"SELECT count(*) FROM '{own}' WHERE y = ?", [b"\xff\x00"]).fetchone()
    assert found == (0,), "DuckDB finds bytes in its own objects now"


# What readers are known not to find, and what proves that it is their own matter: reader, object, column, sign.
KNOWN = {("duckdb", "sorted.parquet", "y", "="): duckdb_escapes_bytes}


def main():
    folder, reader = pathlib.Path(sys.argv[1]), sys.argv[2]
    columns = [(name, corpus.parse(kind)) for name, kind in json.loads((folder / "columns.json").read_text())]
    counts, table = {}, []
    for path in sorted(folder.glob("*.parquet")):
        records, ask = corpus.records_of(path), READERS[reader](path)
        for name, kind in columns:
            if kind[0] not in ORDERED:
                continue
            cells = [corpus.of_layout(path, corpus.truth(record.get(name), kind), kind) for record in records]
            order = ORDERED[kind[0]]
            cells = [(record["row"], None if cell is None else order(cell)) for record, cell in zip(records, cells)]
            values = {cell for _, cell in cells if cell is not None}
            own = {sign for sign in SIGNS if (reader, path.name, name, sign) in KNOWN}
            for sign in own:
                KNOWN[reader, path.name, name, sign]()
            for value in sorted(values)[:: max(1, len(values) // 16)]:
                for sign, is_so in SIGNS.items():
                    if sign in own:
                        continue
                    expected = [row for row, cell in cells if cell is not None and is_so(cell, value)]
                    found = sorted(ask(name, kind[0], sign, value))
                    counts[path.name] = counts.get(path.name, 0) + 1
                    if found != expected:
                        lost = len(set(expected) - set(found))
                        table.append([path.name, name, f"{sign} {value!r}", f"{lost} lost of {len(expected)}", len(found)])
    print(json.dumps(counts))
    if table:
        print(f"{reader} | object | column | asked for | of the records | found", file=sys.stderr)
        for row in table[:40]:
            print(" | ".join([reader, *map(str, row)]), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
