"""Reads the corpus by one reader and holds each cell against the record that was sent.

Arguments: a folder with columns.json (name and Hive type of each), objects, and their records as X.jsonl for X.parquet, or else
records.jsonl; the reader's name. What a cell must be follows from the record and the type alone: no reader is another one's
measure. Rows are known by the column `row`, since an object may be sorted. It prints how many cells were read of each
object; a table of those that differ goes to stderr, and the exit code says that there are some.

What a reader makes of a value by its own rules is in `KNOWN`, and each is proven: where it is no longer so, that fails.
"""

import datetime
import decimal
import json
import os
import pathlib
import struct
import sys

os.environ["TZ"] = "UTC"

import pyarrow as pa

decimal.getcontext().prec = 80

# So many differences are shown of a column.
SHOWN = 3
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


# Hive's types: (word, parts).
def parse(text):
    kind, rest = parse_type(text.strip())
    assert not rest, text
    return kind


def parse_type(text):
    end = next((at for at, mark in enumerate(text) if mark in "<>,(:"), len(text))
    word, rest = text[:end], text[end:]
    if rest.startswith("(") and word in ("decimal", "varchar", "char"):
        inside, rest = rest[1:].split(")", 1)
        return (word, [int(part) for part in inside.split(",")]), rest
    if not rest.startswith("<"):
        return (word, []), rest
    parts, rest = [], rest[1:]
    while True:
        if word == "struct":
            name, rest = rest.split(":", 1)
            kind, rest = parse_type(rest)
            parts.append((name, kind))
        else:
            kind, rest = parse_type(rest)
            parts.append(kind)
        mark, rest = rest[0], rest[1:]
        if mark == ">":
            return (word, parts), rest


# What a cell must be, as a value that compares and prints.
def truth(value, kind):
    word, parts = kind
    if value is None:
        return None
    if word == "boolean":
        return value
    if word in ("tinyint", "smallint", "int", "bigint"):
        return int(value)
    if word == "float":
        return float32(float(value))
    if word == "double":
        return float(value).hex()
    if word == "decimal":
        return fixed(decimal.Decimal(value), parts[1])
    if word in ("string", "varchar", "char"):
        return value
    if word == "binary":
        import base64

        return base64.b64decode(value).hex()
    if word == "date":
        return value
    if word == "timestamp":
        return micros(value)
    if word == "array":
        return [truth(item, parts[0]) for item in value]
    if word == "map":
        return entries((truth(key, parts[0]), truth(inner, parts[1])) for key, inner in value.items())
    return {name: truth(value.get(name), inner) for name, inner in parts}


def float32(number):
    return struct.unpack("f", struct.pack("f", number))[0].hex()


def fixed(number, scale):
    return f"{number.quantize(decimal.Decimal(1).scaleb(-scale)):f}"


def micros(value):
    if not isinstance(value, str):
        # By its digits: a product of floats may be a microsecond short.
        return int(decimal.Decimal(str(value)) * 1_000_000)
    time = datetime.datetime.fromisoformat(value)
    if time.tzinfo is None:
        time = time.replace(tzinfo=datetime.timezone.utc)
    return (time - EPOCH) // datetime.timedelta(microseconds=1)


def entries(pairs):
    """A map has no order."""
    return sorted(([key, value] for key, value in pairs), key=lambda pair: json.dumps(pair[0]))


def of_layout(path, value, kind):
    """What a layout has of it: times of whole milliseconds, cut towards the past."""
    word, parts = kind
    if path.name != "millis.parquet" or value is None:
        return value
    if word == "timestamp":
        return value - value % 1000
    if word == "array":
        return [of_layout(path, item, parts[0]) for item in value]
    if word == "map":
        return entries((of_layout(path, key, parts[0]), of_layout(path, inner, parts[1])) for key, inner in value)
    if word == "struct":
        return {name: of_layout(path, value[name], inner) for name, inner in parts}
    return value


# The same of what a reader has handed over, which all of them can do as Arrow's arrays.
def cells(array, kind):
    if isinstance(array, pa.ChunkedArray):
        return [cell for chunk in array.chunks for cell in cells(chunk, kind)]
    if isinstance(array, pa.ExtensionArray):
        return cells(array.storage, kind)
    if pa.types.is_dictionary(array.type):
        return cells(array.dictionary_decode(), kind)
    word, parts = kind
    if word == "binary" and pa.types.is_string(array.type):
        return cells(array.cast(pa.binary()), kind)
    present = array.is_valid().to_pylist()
    if word in ("array", "map"):
        if pa.types.is_map(array.type):
            keys, items = array.keys, array.items
        elif word == "map":
            inner = array.values
            keys, items = inner.field(0), inner.field(1)
        if word == "map":
            found = list(zip(cells(keys, parts[0]), cells(items, parts[1])))
        else:
            found = cells(array.values, parts[0])
        offsets = array.offsets.to_pylist()
        make = entries if word == "map" else list
        spans = zip(present, offsets, offsets[1:])
        return [make(found[start:end]) if is_there else None for is_there, start, end in spans]
    if word == "struct":
        columns = {name: cells(array.field(at), inner) for at, (name, inner) in enumerate(parts)}
        assert [array.type.field(at).name for at in range(len(parts))] == [name for name, _ in parts]
        return [
            {name: column[row] for name, column in columns.items()} if is_there else None
            for row, is_there in enumerate(present)
        ]
    if word == "timestamp":
        unit = {"s": 1_000_000, "ms": 1000, "us": 1, "ns": 0.001}[array.type.unit]
        number = lambda at: at // 1000 if unit == 0.001 else at * unit
        return [None if at is None else number(at) for at in array.cast(pa.int64()).to_pylist()]
    values = array.to_pylist()
    shown = {
        "float": lambda value: float32(value),
        "double": lambda value: value.hex(),
        "decimal": lambda value: fixed(value, parts[1]),
        "binary": lambda value: bytes(value).hex(),
        "date": lambda value: value.isoformat(),
    }.get(word, lambda value: value)
    return [None if value is None else shown(value) for value in values]


def of_duckdb(path):
    import duckdb

    duckdb.execute("SET TimeZone = 'UTC'")
    return duckdb.execute(f"SELECT * FROM read_parquet('{path}')").to_arrow_table()


def of_pyarrow(path):
    import pyarrow.parquet

    # INT96 else becomes nanoseconds, which end in 2262.
    return pyarrow.parquet.read_table(path, coerce_int96_timestamp_unit="us")


def of_polars(path):
    import polars

    return polars.read_parquet(path).to_arrow()


def of_chdb(path):
    import chdb

    return chdb.query(f"SELECT * FROM file('{path}', Parquet)", "ArrowTable")


def of_spark(path):
    return spark().read.parquet(str(path)).toArrow()


def spark(made=[]):
    if not made:
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
        builder = builder.config("spark.sql.session.timeZone", "UTC").config("spark.ui.showConsoleProgress", "false")
        made.append(builder.getOrCreate())
    return made[0]


# What readers are known to make of values, by their own rules: reader, object, column; a rule, and what proves it.
NANOS = 2**63 // 1000


def without_null_parts(value, kind):
    """ClickHouse has no null array, map or tuple: it is empty, or one of nulls."""
    word, parts = kind
    if word == "array":
        return [without_null_parts(item, parts[0]) for item in value or []]
    if word == "map":
        return [[key, without_null_parts(inner, parts[1])] for key, inner in value or []]
    if word == "struct":
        value = value or {}
        return {name: without_null_parts(value.get(name), inner) for name, inner in parts}
    return value


def chdb_has_no_null_parts(path):
    import chdb

    for kind in ("Array(Int32)", "Map(String, Int32)"):
        try:
            chdb.query(f"SELECT CAST(NULL AS Nullable({kind}))")
        except RuntimeError as error:
            assert "cannot be inside Nullable type" in str(error), error
        else:
            raise AssertionError(f"ClickHouse has Nullable({kind}) now")


def within_nanoseconds(value, kind):
    """INT96 as nanoseconds since 1970 in 64 bits: what lies outside of 1677 to 2262 is the last of them."""
    return value if value is None or -NANOS <= value <= NANOS else NANOS


def polars_has_nanoseconds(path):
    import polars

    assert polars.read_parquet_schema(path)["ts"] == polars.Datetime("ns"), "Polars reads INT96 otherwise now"


def chdb_refuses_int96(path):
    try:
        of_chdb(path)
    except RuntimeError as error:
        assert "INT96 timestamp out of range" in str(error), error
    else:
        raise AssertionError("ClickHouse reads INT96 before 1900 now")


ANY = None
KNOWN = [
    ("chdb", ANY, ANY, without_null_parts, chdb_has_no_null_parts),
    ("polars", "int96.parquet", "ts", within_nanoseconds, polars_has_nanoseconds),
    # It reads nothing of the object at all.
    ("chdb", "int96.parquet", ANY, None, chdb_refuses_int96),
]


def known(reader, path):
    """The rules of a reader for an object, by column; proven."""
    found = [of for of in KNOWN if of[0] == reader and of[1] in (ANY, path.name)]
    for *_, proof in found:
        proof(path)
    return [(column, rule) for _, _, column, rule, _ in found]


READERS = {"duckdb": of_duckdb, "pyarrow": of_pyarrow, "polars": of_polars, "chdb": of_chdb, "spark": of_spark}


def records_of(path):
    lines = path.with_suffix(".jsonl")
    lines = lines if lines.exists() else path.with_name("records.jsonl")
    exact = json.JSONDecoder(parse_float=decimal.Decimal)
    records = [exact.decode(line) for line in lines.read_text(encoding="utf-8").split("\n") if line]
    return sorted(records, key=lambda record: record["row"])


def main():
    folder, reader = pathlib.Path(sys.argv[1]), sys.argv[2]
    columns = [(name, parse(kind), kind) for name, kind in json.loads((folder / "columns.json").read_text())]
    counts, table = {}, []
    for path in sorted(folder.glob("*.parquet")):
        rules = known(reader, path)
        if any(rule is None for _, rule in rules):
            counts[path.name] = 0
            continue
        records = records_of(path)
        found = READERS[reader](path)
        found = found.sort_by("row").combine_chunks() if "row" in found.column_names else found
        names = [name for name, *_ in columns]
        if list(found.column_names) != names:
            table.append([path.name, "", "", names, found.column_names])
            continue
        for name, kind, written in columns:
            expected = [of_layout(path, truth(record.get(name), kind), kind) for record in records]
            for rule in [rule for column, rule in rules if column in (ANY, name)]:
                expected = [rule(value, kind) for value in expected]
            column = cells(found[name], kind)
            counts[path.name] = counts.get(path.name, 0) + len(column)
            if len(column) != len(expected):
                table.append([path.name, name, written, f"{len(expected)} rows", f"{len(column)} rows"])
                continue
            differing = [pair for pair in zip(expected, column) if pair[0] != pair[1]]
            distinct = {json.dumps(pair, ensure_ascii=False): pair for pair in differing}
            for one, other in list(distinct.values())[:SHOWN]:
                table.append([path.name, name, written, one, other])
    print(json.dumps(counts))
    if table:
        print(f"{reader} | object | column | type | in the record | read", file=sys.stderr)
        for row in table:
            print(" | ".join([reader, *map(str, row)]), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
