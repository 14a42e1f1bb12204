"""csv-to-json in Python: a line of CSV becomes a JSON object with typed fields.

It takes the [config] of the Rust module, ../csv-to-json, and passes its pairs; the rules stand there.
"""

import json
import re

from firehose_transform import Failure, Transform, dropped, ok

INT = re.compile(r"[+-]?[0-9]+")
FLOAT = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
KINDS = ("string", "int", "float", "bool")
FIELDS = ("columns", "delimiter", "header", "null")
SPACES = " \t\n\f\r"


def string(text):
    return json.dumps(text, ensure_ascii=False)


class Column:
    def __init__(self, written):
        name, colon, kind = written.rpartition(":")
        if not colon:
            name, kind = written, "string"
        self.name = name
        self.may_be_empty = kind.endswith("?")
        self.kind = kind.removesuffix("?")
        if self.kind not in KINDS:
            raise Failure(
                f"column `{name}`: there is no type `{self.kind}`, only string, int, float and bool"
            )

    def value(self, text, quoted, null):
        """The JSON of a field."""
        if not quoted and (text == null or self.may_be_empty and not text):
            return "null"
        if self.kind == "string":
            return string(text)
        bare = text.strip(SPACES)
        if self.kind == "bool":
            if bare.lower() in ("true", "false"):
                return bare.lower()
        elif (INT if self.kind == "int" else FLOAT).fullmatch(bare):
            # Its digits are looked at and never calculated with.
            return re.sub(r"^(-?)\+?0+(?=[0-9])", r"\1", bare.removeprefix("+"))
        raise Failure(f"column `{self.name}`: expected {self.kind}, found {string(text)}")


class WitWorld(Transform):
    def setup(self, config):
        for key in config:
            if key not in FIELDS:
                expected = ", ".join(f"`{field}`" for field in FIELDS)
                raise Failure(f"unknown field `{key}`, expected one of {expected}")
        if "columns" not in config:
            raise Failure("missing field `columns`")
        self.delimiter = config.get("delimiter", ",")
        self.header = config.get("header", False)
        if len(self.delimiter.encode()) != 1:
            raise Failure("`delimiter` must be one ASCII character")
        if self.delimiter in '"\n\r':
            raise Failure("`delimiter` can be neither a quote nor a line break")
        self.null = config.get("null")
        if self.null and (self.null[0] == '"' or any(end in self.null for end in (self.delimiter, "\n", "\r"))):
            raise Failure("`null` must be what a field can be without quotes")
        self.columns = [Column(written) for written in config["columns"]]
        self.names = [column.name for column in self.columns]
        for name in self.names:
            if self.names.count(name) > 1:
                raise Failure(f"`columns` names `{name}` twice")
        if not self.columns:
            raise Failure("`columns` names no column")
        self.bare = re.compile(rf"[^{re.escape(self.delimiter)}\r\n]*")

    def record(self, record):
        try:
            row = record.data.decode()
        except UnicodeDecodeError:
            raise Failure("the record is not UTF-8")
        row = row.removesuffix("\n").removesuffix("\r")
        if self.header and self.is_header(row):
            return dropped()
        members = []
        count = 0
        for text, quoted in self.fields(row):
            if count < len(self.columns):
                column = self.columns[count]
                members.append(f"{string(column.name)}:{column.value(text, quoted, self.null)}")
            count += 1
        if count != len(self.columns):
            raise Failure(f"expected {len(self.columns)} fields, found {count}")
        return ok(("{" + ",".join(members) + "}").encode())

    def is_header(self, row):
        try:
            return [text for text, _ in self.fields(row)] == self.names
        except Failure:
            return False

    def fields(self, row):
        """The fields of a row: each one's text, and whether it was quoted."""
        at = 0
        number = 0
        while True:
            number += 1
            quoted = row.startswith('"', at)
            if quoted:
                text, at = self.quoted(row, at + 1, number)
                fault = "text after the closing quote"
            else:
                end = self.bare.match(row, at).end()
                text, at = row[at:end], end
                fault = "a line break outside of quotes; a record is one row"
            if at < len(row) and row[at] != self.delimiter:
                raise Failure(f"field {number}: {fault}")
            yield text, quoted
            if at == len(row):
                return
            at += 1

    def quoted(self, row, at, number):
        """The text of a quoted field, and where it ends."""
        text = ""
        while True:
            quote = row.find('"', at)
            if quote < 0:
                raise Failure(f"field {number}: a quote is never closed")
            text += row[at:quote]
            at = quote + 1
            if not row.startswith('"', at):
                return text, at
            text += '"'
            at += 1
