"""Reads everything that the sink was given and adds it up: rows, ids, two sums, records that failed, bytes.

Usage: check.py DIRECTORY. Prints one JSON object.
"""

import json
import pathlib
import sys

import duckdb

root = pathlib.Path(sys.argv[1])
files = [path for path in root.rglob("*") if path.is_file() and ".firehose" not in path.parts]
errors = [path for path in files if "errors" in path.parts]
files = [path for path in files if "errors" not in path.parts]
assert files, "nothing was delivered"
assert all("format-conversion-failed" in path.parts for path in errors), f"other error objects than bad records: {errors}"
bad = sum(len(path.read_bytes().splitlines()) for path in errors)
names = "[" + ", ".join(f"'{path}'" for path in files) + "]"
if files[0].suffix == ".parquet":
    source = f"read_parquet({names}, hive_partitioning = false, filename = true)"
else:
    columns = "{event_id: 'VARCHAR', user_id: 'BIGINT', latency_ms: 'BIGINT', event_type: 'VARCHAR', region: 'VARCHAR'}"
    source = f"read_json({names}, format = 'newline_delimited', compression = 'gzip', columns = {columns}, filename = true)"
misplaced = (
    "contains(filename, 'event_type=') AND "
    "NOT contains(filename, '/event_type=' || event_type || '/region=' || region || '/')"
)
rows, ids, user_ids, latencies, outside = duckdb.execute(
    f"""SELECT count(*), count(DISTINCT event_id), sum(user_id)::BIGINT, sum(latency_ms)::BIGINT,
        count(*) FILTER ({misplaced}) FROM {source}"""
).fetchone()
assert ids == rows, f"{rows} rows have {ids} ids"
assert outside == 0, f"{outside} rows lie outside of their partition"
print(json.dumps({"rows": rows, "bad": bad, "user_ids": user_ids, "latencies": latencies, "objects": len(files),
                  "bytes": sum(path.stat().st_size for path in files)}))
