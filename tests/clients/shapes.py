"""Has Spark read what the test of real shapes has left: each folder as one table whose columns have grown.

Argument: the folder, with tables.json: by name of a folder how many rows it has, a column that came later, and how many
values that has.
"""

import json
import pathlib
import sys

from pyspark.sql import SparkSession

lake = pathlib.Path(sys.argv[1])
builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
spark = builder.config("spark.ui.showConsoleProgress", "false").getOrCreate()
tables = json.loads((lake / "tables.json").read_text())
assert tables, "there is nothing to read"
for name, expected in tables.items():
    reader = spark.read.option("mergeSchema", "true").option("recursiveFileLookup", "true")
    table = reader.parquet(str(lake / name))
    column = expected[1]
    found = [table.count(), column, table.filter(f"{column} is not null").count()]
    assert found == expected, f"{name}: {found}, not {expected}"
print(json.dumps(tables))
