"""A foreign eye on the lease table for the tests: boto3.

Usage: dynamodb.py ENDPOINT ACTION TABLE ...; prints a JSON document as the answer. Numbers are printed
as text, string sets as sorted lists.
"""

import json
import sys
import time
from decimal import Decimal

import boto3
from botocore.exceptions import BotoCoreError, ClientError

endpoint, action, name, *rest = sys.argv[1:]
dynamodb = boto3.resource(
    "dynamodb",
    endpoint_url=endpoint,
    region_name="us-east-1",
    aws_access_key_id="firehose-tests",
    aws_secret_access_key="firehose-tests-secret",
)
table = dynamodb.Table(name)
PATIENCE = 90


def ready():
    """Waits until the server answers."""
    patience = time.monotonic() + PATIENCE
    while True:
        try:
            return dynamodb.meta.client.list_tables()["TableNames"]
        except (BotoCoreError, ClientError):
            if time.monotonic() > patience:
                raise
            time.sleep(0.05)


def create():
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "leaseKey", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "leaseKey", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    table.wait_until_exists()


def plain(value):
    if isinstance(value, set):
        return sorted(value)
    return str(value)


def items():
    try:
        found = table.scan(ConsistentRead=True)["Items"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return {}
        raise
    return {item["leaseKey"]: {key: plain(value) for key, value in item.items()} for item in found}


def set_(shard, attributes):
    """Texts stay texts, numbers become numbers; null removes."""
    for key, value in json.loads(attributes, parse_float=Decimal).items():
        where = {"Key": {"leaseKey": shard}, "ExpressionAttributeNames": {"#a": key}}
        if value is None:
            table.update_item(UpdateExpression="REMOVE #a", **where)
        else:
            value = set(value) if isinstance(value, list) else value
            table.update_item(UpdateExpression="SET #a = :v", ExpressionAttributeValues={":v": value}, **where)


answer = {"ready": ready, "create": create, "items": items, "set": set_}[action](*rest)
json.dump(answer, sys.stdout)
