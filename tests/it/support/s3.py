"""A foreign S3 client for the tests: boto3, one action a call, a JSON document as the answer."""

import concurrent.futures
import json
import pathlib
import sys
import time

import boto3
from botocore.config import Config

endpoint, access_key_id, secret_access_key, action, bucket, *rest = sys.argv[1:]
s3 = boto3.client(
    "s3",
    endpoint_url=endpoint,
    region_name="us-east-1",
    aws_access_key_id=access_key_id,
    aws_secret_access_key=secret_access_key,
    config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}),
)


def create():
    """The port opens before the server can do anything, so that this is what readiness means."""
    patience = time.monotonic() + 90
    while True:
        try:
            return s3.create_bucket(Bucket=bucket)
        except Exception:
            if time.monotonic() > patience:
                raise
            time.sleep(0.1)


def get(key, path):
    """What the store tells of an object; its bytes go to `path`."""
    found = s3.get_object(Bucket=bucket, Key=key)
    with open(path, "wb") as file:
        for piece in found["Body"].iter_chunks(1 << 20):
            file.write(piece)
    head = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    tags = s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    return {
        "metadata": head["Metadata"],
        "content_type": head.get("ContentType"),
        "content_encoding": head.get("ContentEncoding"),
        "storage_class": head.get("StorageClass"),
        "encryption": head.get("ServerSideEncryption"),
        "crc64nvme": head.get("ChecksumCRC64NVME"),
        "tags": {tag["Key"]: tag["Value"] for tag in tags},
    }


def put(key, path):
    with open(path, "rb") as file:
        s3.put_object(Bucket=bucket, Key=key, Body=file.read())


def put_many(head, count):
    """Small objects of somebody else's."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        put_one = lambda n: s3.put_object(Bucket=bucket, Key=f"{head}{n}", Body=b"theirs")
        list(pool.map(put_one, range(int(count))))


def keys():
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


def download(directory):
    """Every object, as files; those that go meanwhile are left out."""
    for key in keys():
        try:
            body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            continue
        path = pathlib.Path(directory, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


def uploads():
    """Multipart uploads that are neither completed nor aborted."""
    found = s3.list_multipart_uploads(Bucket=bucket)
    return [upload["UploadId"] for upload in found.get("Uploads", [])]


def parts():
    """Number of parts that have arrived for those uploads."""
    found = s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    lists = [
        s3.list_parts(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        for upload in found
    ]
    return sum(len(listed.get("Parts", [])) for listed in lists)


def abort_uploads():
    for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
        s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


actions = [create, get, put, put_many, keys, download, uploads, parts, abort_uploads]
answer = {each.__name__: each for each in actions}[action](*rest)
json.dump(answer, sys.stdout, default=str)
