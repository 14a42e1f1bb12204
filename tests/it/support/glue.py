"""Somebody who keeps a catalog, for the tests: boto3.

Usage: glue.py ENDPOINT ACTION DATABASE ...; prints a JSON document as the answer.
"""

import json
import sys
import time

import boto3
from botocore.exceptions import BotoCoreError, ClientError

endpoint, action, database, *rest = sys.argv[1:]
glue = boto3.client(
    "glue",
    endpoint_url=endpoint,
    region_name="us-east-1",
    aws_access_key_id="firehose-tests",
    aws_secret_access_key="firehose-tests-secret",
)
PATIENCE = 90


def database_():
    """Makes the database. Waits until the server answers."""
    patience = time.monotonic() + PATIENCE
    while True:
        try:
            glue.create_database(DatabaseInput={"Name": database})
            return None
        except (BotoCoreError, ClientError):
            if time.monotonic() > patience:
                raise
            time.sleep(0.05)


def put(table, columns):
    """Makes the table with these columns, or gives it them; its version then."""
    kind = {
        "Name": table,
        "TableType": "EXTERNAL_TABLE",
        "PartitionKeys": [{"Name": "day", "Type": "string"}],
        "StorageDescriptor": {
            "Columns": [{"Name": name, "Type": kind} for name, kind in json.loads(columns)],
            "Location": "s3://lake/data/",
        },
    }
    try:
        glue.create_table(DatabaseName=database, TableInput=kind)
    except glue.exceptions.AlreadyExistsException:
        glue.update_table(DatabaseName=database, TableInput=kind)
    return glue.get_table(DatabaseName=database, Name=table)["Table"]["VersionId"]


actions = {"database": database_, "put": put}
print(json.dumps(actions[action](*rest)))
