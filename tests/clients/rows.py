"""Reads the same rows as Parquet, as text between delimiters and as Avro, and says where they differ.

Arguments: a folder, and the columns as JSON: name, DuckDB's type. It prints the number of rows for each file that was
read back, by each reader.
"""

import json
import pathlib
import sys

import duckdb
import fastavro
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from avro.datafile import DataFileReader
from avro.io import DatumReader

folder, columns = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
duckdb.execute("SET TimeZone = 'UTC'")
counts = {}


def differ(reader, path, expected, found):
    assert len(expected) == len(found), (reader, path, len(expected), len(found))
    for one, other in zip(expected, found):
        assert one == other, f"{reader}, {path.name}:\n{one}\n{other}"
    counts[f"{path.name} {reader}"] = len(found)


# Text: DuckDB casts it to the types that it finds in Parquet, and shows both.
PARTS = ("[]", "MAP", "STRUCT")


def has_parts(kind):
    return kind.startswith(PARTS[1:]) or kind.endswith(PARTS[0])


def text_of(name, kind):
    if has_parts(kind):
        return f"CAST(CAST({name} AS JSON) AS {kind})"
    return f"from_base64({name})" if kind == "BLOB" else name


def rows_of(source, expressions):
    shown = ", ".join(f"CAST({one} AS VARCHAR)" for one in expressions)
    return duckdb.execute(f"SELECT {shown} FROM {source}").fetchall()


def read_as(kind):
    return "VARCHAR" if has_parts(kind) or kind == "BLOB" else kind


def literal(value):
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return json.dumps(value).replace('"', "'")


parquet = folder / "object.parquet"
rows = rows_of(f"'{parquet}'", [name for name, _ in columns])
types = {name: read_as(kind) for name, kind in columns}
styles = {"": (",", '"', "", True), "other.": (";", "'", "\\N", False)}
for path in sorted(folder.glob("*.csv*")):
    delimiter, quote, null, header = styles["other." if path.name.startswith("other.") else ""]
    options = {"header": header, "delim": delimiter, "quote": quote, "escape": quote, "nullstr": null, "columns": types}
    written = ", ".join(f"{name} = {literal(value)}" for name, value in options.items())
    source = f"read_csv('{path}', {written}, allow_quoted_nulls = false)"
    differ("duckdb", path, rows, rows_of(source, [text_of(*column) for column in columns]))

# Text: PyArrow, the columns without parts.
table = pyarrow.parquet.read_table(parquet)
flat = [name for name, kind in columns if not has_parts(kind) and kind != "BLOB"]
for path in sorted(folder.glob("*.csv*")):
    if not path.name.endswith((".csv", ".gz")):
        continue
    delimiter, quote, null, header = styles["other." if path.name.startswith("other.") else ""]
    names = [name for name, _ in columns]
    read = pyarrow.csv.read_csv(
        path,
        read_options=pa.csv.ReadOptions(column_names=None if header else names),
        parse_options=pa.csv.ParseOptions(delimiter=delimiter, quote_char=quote, newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            column_types={name: table.schema.field(name).type for name in flat},
            include_columns=flat,
            null_values=[null],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    differ("pyarrow", path, table.select(flat).to_pylist(), read.to_pylist())


def plain(value):
    """A map with text keys is an object, one with others a list of entries; what is empty is alike."""
    if isinstance(value, dict):
        value = {key: plain(inner) for key, inner in value.items()}
        return value or []
    if isinstance(value, (list, tuple)):
        if value and all(isinstance(item, tuple) for item in value):
            if all(isinstance(key, str) for key, _ in value):
                return plain(dict(value))
            return [{"key": plain(key), "value": plain(inner)} for key, inner in value]
        return [plain(item) for item in value]
    return value


expected = [plain(row) for row in table.to_pylist()]
for path in sorted(folder.glob("*.avro")):
    with open(path, "rb") as file:
        differ("fastavro", path, expected, [plain(row) for row in fastavro.reader(file)])
    if "snappy" not in path.name and "zstandard" not in path.name:
        with open(path, "rb") as file:
            differ("avro", path, expected, [plain(row) for row in DataFileReader(file, DatumReader())])
print(json.dumps(counts))
