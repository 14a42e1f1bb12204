"""Holds what lies at the destination against the producer's ledger. Knows nothing of the daemon.

Usage: oracle.py LEDGER (--folder DIR | --s3 ENDPOINT BUCKET) [--backup PREFIX] [--later REGEX]

The ledger has one line an attempt: outcome, kind, id. Every object is read whole by foreign
readers (zlib and json of Python, PyArrow, DuckDB). Prints a summary as JSON; exit code 1 and the
findings on standard error when a promise is broken.

Keys that REGEX matches are of settings that came later, at one point of each connection's records;
below `later/` everything is laid out as it is at the top.
"""

import argparse
import base64
import collections
import json
import os
import pathlib
import re
import sys
import tempfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote

import duckdb
import pyarrow.parquet

DATA = re.compile(r"data/event_type=([^/]*)/region=([^/]*)/[^/]+$")
ERROR = re.compile(r"errors/([A-Za-z-]+)/[^/]+$")
MARKER = re.compile(r"(errors/)?\.firehose/[^/]+/([^/]+/)?[^/]+$")
MARK = re.compile(rb'"(id|end)":"(k\d+x\d+z)"')
# The error object in which a kind of bad record must lie.
ERROR_TYPE = {
    "not-json": "metadata-extraction-failed",
    "no-keys": "metadata-extraction-failed",
    "misfit": "format-conversion-failed",
}


class Oracle:
    def __init__(self, ledger, later):
        self.later = later
        self.outcome, self.kind = {}, {}
        for line in open(ledger):
            outcome, kind, identity = line.split()
            assert identity not in self.outcome, f"the producer used {identity} twice"
            self.outcome[identity], self.kind[identity] = outcome, kind
        self.out = collections.Counter()
        self.data = collections.Counter()
        self.backup = collections.Counter()
        self.objects = collections.Counter()
        # Under the first settings and under the later ones: records by what they are, and their ids.
        self.ages = {False: collections.Counter(), True: collections.Counter()}
        self.ids_of_age = {False: set(), True: set()}
        self.row_groups_max = self.failed_texts = 0
        self.findings = collections.defaultdict(list)
        self.data_files = collections.defaultdict(list)

    def find(self, what, where):
        self.findings[what].append(str(where))

    def read(self, root, backup_prefix):
        for directory, _, names in os.walk(root):
            for name in names:
                path = pathlib.Path(directory, name)
                key = path.relative_to(root).as_posix()
                try:
                    self.read_object(key, path, backup_prefix)
                except Exception as error:  # whatever a reader says about it, it is torn
                    self.find("torn object", f"{key}: {type(error).__name__}: {error}")

    def note(self, key, what, identity):
        age = bool(self.later and self.later.search(key))
        self.ages[age][what] += 1
        # Whether a record fits is found when its batch ends, whatever the settings are by then.
        if what != "format-conversion-failed":
            self.ids_of_age[age].add(identity)

    def read_object(self, whole_key, path, backup_prefix):
        key = whole_key.removeprefix("later/") if self.later else whole_key
        if match := DATA.match(key):
            self.objects["data"] += 1
            self.read_data(whole_key, path, [unquote(value) for value in match.groups()])
        elif match := ERROR.match(key):
            self.objects["errors"] += 1
            self.read_errors(whole_key, path, match[1])
        elif backup_prefix and key.startswith(backup_prefix):
            self.objects["backup"] += 1
            data = path.read_bytes()
            for identity in self.pairs(key, gunzip(data) if key.endswith(".gz") else data):
                self.backup[identity] += 1
                self.note(whole_key, "backup", identity)
        elif MARKER.match(key):
            self.objects["markers"] += 1
        else:
            self.find("object outside of every prefix", whole_key)

    def read_data(self, key, path, values):
        if key.endswith(".parquet"):
            self.data_files["parquet"].append(str(path))
            rows = pyarrow.parquet.read_table(path).to_pylist()
            row_groups = pyarrow.parquet.ParquetFile(path).num_row_groups
            self.row_groups_max = max(self.row_groups_max, row_groups)
        else:
            compression = "gzip" if key.endswith(".gz") else "uncompressed"
            self.data_files[compression].append(str(path))
            data = path.read_bytes()
            text = gunzip(data) if key.endswith(".gz") else data
            assert text.endswith(b"\n"), "the last line is cut"
            rows = [json.loads(line) for line in text.splitlines()]
        assert rows, "an empty object"
        for row in rows:
            identity = row["id"]
            self.out[identity] += 1
            self.data[identity] += 1
            self.note(key, "parquet" if key.endswith(".parquet") else "json", identity)
            if row["end"] != identity:
                self.find("torn record", f"{key}: {row}")
            if [row["event_type"], row["geo"]["region"]] != values:
                self.find("record outside of its partition", f"{key}: {identity}")
            if ERROR_TYPE.get(self.kind.get(identity)) == "metadata-extraction-failed":
                self.find("bad record among the data", f"{key}: {identity}")

    def read_errors(self, key, path, error_type):
        data = path.read_bytes()
        assert data.endswith(b"\n"), "the last line is cut"
        for line in data.splitlines():
            document = json.loads(line)
            assert isinstance(document["arrivalTimestamp"], int), "no arrivalTimestamp"
            assert isinstance(document["attemptsMade"], int), "no attemptsMade"
            assert "errorCode" in document or "lastErrorCode" in document, "no code"
            # Of a record of several texts each fails by itself.
            (identity,) = self.pairs(key, base64.b64decode(document["rawData"], validate=True))
            self.failed_texts += "textIndex" in document
            self.out[identity] += 1
            self.note(key, error_type, identity)
            if ERROR_TYPE.get(self.kind.get(identity)) != error_type:
                self.find("wrong error type", f"{key}: {identity} {self.kind.get(identity)}")

    def pairs(self, key, data):
        """The ids of records lying one after the other, each seen in front and at the end."""
        marks = MARK.findall(data)
        ids = [identity for _, identity in marks[::2]]
        if [kind for kind, _ in marks] != [b"id", b"end"] * len(ids) or ids != [
            identity for _, identity in marks[1::2]
        ]:
            self.find("torn record", key)
        return [identity.decode() for identity in ids]

    def judge(self, has_backup):
        for identity, outcome in self.outcome.items():
            count = self.out[identity]
            if outcome == "acknowledged" and count == 0:
                self.find("lost", f"{identity} ({self.kind[identity]})")
            if count > 1:
                self.find("doubled", f"{identity} ({self.kind[identity]}): {count} times")
            if has_backup and self.backup[identity] != count:
                self.find("backup differs", f"{identity}: {self.backup[identity]} against {count}")
        for identity in (self.out.keys() | self.backup.keys()) - self.outcome.keys():
            self.find("never sent", identity)

    def judge_change(self):
        """What came under the later settings came after what did not, by connection."""
        first = {}
        for connection, number in map(order, self.ids_of_age[True]):
            first[connection] = min(number, first.get(connection, number))
        for identity in self.ids_of_age[False]:
            connection, number = order(identity)
            if number >= first.get(connection, number + 1):
                self.find("under the first settings behind later ones", identity)

    def second_opinion(self):
        """DuckDB reads all data objects together and must count the same rows and ids."""
        rows = ids = 0
        for kind, files in self.data_files.items():
            names = ", ".join("'" + name.replace("'", "''") + "'" for name in files)
            source = f"read_parquet([{names}], hive_partitioning = false)"
            if kind != "parquet":
                source = (
                    f"read_json([{names}], hive_partitioning = false, compression = '{kind}',"
                    " format = 'newline_delimited', columns = {id: 'VARCHAR'})"
                )
            try:
                found = duckdb.execute(f"SELECT count(*), count(DISTINCT id) FROM {source}").fetchone()
            except duckdb.Error as error:
                self.find("DuckDB cannot read", error)
                continue
            rows, ids = rows + found[0], ids + found[1]
        if (rows, ids) != (self.data.total(), len(self.data)) and not self.findings:
            self.find("DuckDB counts otherwise", f"{rows} rows, {ids} ids; {self.data.total()} rows")
        return rows


def gunzip(data):
    """What the one gzip member holds: readers lose what stands in further ones."""
    member = zlib.decompressobj(zlib.MAX_WBITS | 16)
    text = member.decompress(data)
    assert member.eof and not member.unused_data, "not one gzip member"
    return text


def order(identity):
    """The connection that sent a record, and which of its records it is."""
    connection, number = identity.strip("kz").split("x")
    return int(connection), int(number)


def download(endpoint, bucket, root):
    """Every object of the bucket, as files; but markers and bodies of checkpoints, which come and go."""
    import boto3

    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
    keys = [key for key in keys if not MARKER.match(key)]

    def fetch(key):
        assert ".." not in key.split("/"), f"{key} climbs out of its prefix"
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not through download_file: that would decode or split on its own terms.
        path.write_bytes(client.get_object(Bucket=bucket, Key=key)["Body"].read())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(fetch, keys))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ledger")
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--s3", nargs=2)
    parser.add_argument("--backup")
    parser.add_argument("--later", type=re.compile)
    arguments = parser.parse_args()
    oracle = Oracle(arguments.ledger, arguments.later)
    with tempfile.TemporaryDirectory() as scratch:
        root = arguments.folder
        if arguments.s3:
            root = pathlib.Path(scratch)
            download(*arguments.s3, root)
        oracle.read(root, arguments.backup)
        oracle.judge(arguments.backup is not None)
        oracle.judge_change()
        rows = oracle.second_opinion()
    outcomes = collections.Counter(oracle.outcome.values())
    print(json.dumps({"attempts": outcomes, "objects": oracle.objects, "data_rows": rows,
                      "row_groups_max": oracle.row_groups_max, "failed_texts": oracle.failed_texts,
                      "first": oracle.ages[False], "later": oracle.ages[True],
                      "delivered": sum(oracle.out.values()),
                      "findings": {what: len(where) for what, where in oracle.findings.items()}}))
    for what, where in oracle.findings.items():
        print(f"{what}: {len(where)}", *where[:10], sep="\n  ", file=sys.stderr)
    sys.exit(1 if oracle.findings or not oracle.out else 0)


main()
