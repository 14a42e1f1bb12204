"""Somebody else's eyes and hands on the Glue Data Catalog: boto3, one action a call, a JSON document as the answer.

Usage: moto.py ENDPOINT ACTION DATABASE ...
"""

import json
import sys
import time

import boto3
from botocore.config import Config

endpoint, action, database, *rest = sys.argv[1:]
glue = boto3.client(
    "glue",
    endpoint_url=endpoint,
    region_name="us-east-1",
    aws_access_key_id="firehose-tests",
    aws_secret_access_key="firehose-tests-secret",
    config=Config(retries={"max_attempts": 0}),
)
PATIENCE = 90
PARQUET_SERDE = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"


def database_():
    """The port opens before the server can do anything, so that this is what readiness means."""
    patience = time.monotonic() + PATIENCE
    while True:
        try:
            glue.create_database(DatabaseInput={"Name": database})
            return None
        except Exception:
            if time.monotonic() > patience:
                raise
            time.sleep(0.1)


def create(table, location, keys):
    """A table over Parquet, with a parameter that a partition is to have, too."""
    glue.create_table(
        DatabaseName=database,
        TableInput={
            "Name": table,
            "TableType": "EXTERNAL_TABLE",
            "PartitionKeys": [{"Name": key, "Type": "string"} for key in keys.split(",") if key],
            "StorageDescriptor": {
                "Columns": [{"Name": "id", "Type": "bigint"}],
                "Location": location,
                "InputFormat": "an.InputFormat",
                "OutputFormat": "an.OutputFormat",
                "SerdeInfo": {"SerializationLibrary": PARQUET_SERDE, "Parameters": {"own": "1"}},
            },
        },
    )


def table(name):
    return glue.get_table(DatabaseName=database, Name=name)["Table"]


def alter(name, columns):
    """Gives the table these columns, and a parameter, as a person might."""
    kept = ["Name", "TableType", "Parameters", "PartitionKeys", "StorageDescriptor"]
    before = table(name)
    altered = {key: before[key] for key in kept if key in before}
    altered["StorageDescriptor"]["Columns"] = json.loads(columns)
    altered.setdefault("Parameters", {})["theirs"] = "1"
    glue.update_table(DatabaseName=database, TableInput=altered)


def partitions(name):
    """Values, place and all else of the storage, of every partition."""
    found = []
    for page in glue.get_paginator("get_partitions").paginate(DatabaseName=database, TableName=name):
        for partition in page["Partitions"]:
            storage = partition["StorageDescriptor"]
            found.append(
                {"values": partition["Values"], "place": storage.pop("Location"), "storage": storage}
            )
    return found


def forget(name):
    """Deletes every partition."""
    for partition in partitions(name):
        glue.delete_partition(
            DatabaseName=database, TableName=name, PartitionValues=partition["values"]
        )


actions = {
    "database": database_,
    "create": create,
    "table": table,
    "alter": alter,
    "partitions": partitions,
    "forget": forget,
}
print(json.dumps(actions[action](*rest), default=str))
