"""Holds Amazon Data Firehose's API as the daemon speaks it against boto3 and the AWS CLI.

    python firehose_api.py ENDPOINT STREAM

ENDPOINT is the daemon's URL, STREAM an existing delivery stream; 520 records are put into it, most of
them JSON. Prints a line for each check that holds. Exits 1 with what differed.
"""

import base64
import json
import os
import subprocess
import sys
import tempfile

try:
    import awscli  # noqa: F401  (run as `python -m awscli`)
    import boto3
    import botocore.exceptions
    from botocore.config import Config
except ImportError as error:
    sys.exit(f"{error}: pip install boto3 awscli")

RECORD_MAX = 1_024_000
BATCH_MAX = 4 * 1024 * 1024
ACCOUNT = "000000000000"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "thing"}
failures = []


def check(name, holds, seen=None):
    if holds:
        print(f"OK   {name}")
    else:
        print(f"FAIL {name}: {seen!r}")
        failures.append(name)


def error_of(call, **arguments):
    """The service error that a call ends in, as (code, status, message)."""
    try:
        return ("no error", 200, str(call(**arguments))[:200])
    except botocore.exceptions.ClientError as error:
        answer = error.response
        status = answer["ResponseMetadata"]["HTTPStatusCode"]
        return (answer["Error"]["Code"], status, answer["Error"]["Message"])


def check_error(name, seen, code, message, status=400):
    check(name, seen == (code, status, message), seen)


def violation(path, rule):
    return (
        f"1 validation error detected: Value at '{path}' failed to satisfy constraint: "
        f"Member must {rule}"
    )


def record(data):
    return {"Data": data}


def put_record(client, stream):
    for data in [b'{"n":1}\n', b"", bytes(range(256)), b"x" * RECORD_MAX]:
        answer = client.put_record(DeliveryStreamName=stream, Record=record(data))
        name = f"PutRecord of {len(data)} bytes has an id and is not encrypted"
        check(name, answer["RecordId"] and answer["Encrypted"] is False, answer)
    answer = answer["ResponseMetadata"]
    check("answers carry a request id", len(answer.get("RequestId", "")) == 36, answer)
    seen = error_of(
        client.put_record, DeliveryStreamName=stream, Record=record(b"x" * (RECORD_MAX + 1))
    )
    rule = f"have length less than or equal to {RECORD_MAX}"
    message = violation("record.data", rule)
    check_error("PutRecord of one byte more", seen, "ValidationException", message)


def put_record_batch(client, stream):
    def put(records):
        return client.put_record_batch(DeliveryStreamName=stream, Records=records)

    def put_error(records):
        return error_of(client.put_record_batch, DeliveryStreamName=stream, Records=records)

    for count in [1, 500]:
        answer = put([record(b'{"n":%d}\n' % n) for n in range(count)])
        ids = [entry.get("RecordId") for entry in answer["RequestResponses"]]
        name = f"PutRecordBatch of {count} has an id for each"
        check(name, answer["FailedPutCount"] == 0 and len(ids) == count and all(ids), answer)
        check(f"the ids of {count} differ", len(set(ids)) == count, ids)
    answer = put([record(b""), record(b"a"), record(b"")])
    check("empty records are accepted in a batch", answer["FailedPutCount"] == 0, answer)
    message = violation("records", "have length less than or equal to 500")
    seen = put_error([record(b"x")] * 501)
    check_error("PutRecordBatch of 501", seen, "ValidationException", message)
    message = violation(
        "records.2.member.data", f"have length less than or equal to {RECORD_MAX}"
    )
    seen = put_error([record(b"a"), record(b"x" * (RECORD_MAX + 1)), record(b"b")])
    check_error("PutRecordBatch with a long record", seen, "ValidationException", message)
    full = [record(b"x" * (BATCH_MAX // 8))] * 8
    answer = put(full)
    check("PutRecordBatch of 4 MiB", answer["FailedPutCount"] == 0, answer["FailedPutCount"])
    for name, records in [
        ("PutRecordBatch of 4 MiB and a byte", full + [record(b"x")]),
        ("PutRecordBatch of 40 MB", [record(b"x" * 1_000_000)] * 40),
    ]:
        message = "Records size exceeds 4 MB limit"
        check_error(name, put_error(records), "InvalidArgumentException", message)


def unknown(client):
    message = f"Firehose no-such-stream not found under account {ACCOUNT}."
    name = {"DeliveryStreamName": "no-such-stream"}
    for call, arguments in [
        (client.put_record, {**name, "Record": record(b"a")}),
        (client.put_record_batch, {**name, "Records": [record(b"a")]}),
        (client.describe_delivery_stream, name),
    ]:
        seen = error_of(call, **arguments)
        check_error(f"{call.__name__} of none", seen, "ResourceNotFoundException", message)
    try:
        client.describe_delivery_stream(**name)
    except client.exceptions.ResourceNotFoundException:
        check("boto3 raises its ResourceNotFoundException", True)


def describe(client, stream):
    answer = client.describe_delivery_stream(DeliveryStreamName=stream)
    answer = answer["DeliveryStreamDescription"]
    check("the name", answer["DeliveryStreamName"] == stream, answer)
    arn = answer["DeliveryStreamARN"]
    begins, ends = arn.startswith("arn:aws:firehose:"), f":{ACCOUNT}:deliverystream/{stream}"
    check("the ARN", begins and arn.endswith(ends), arn)
    check("the status", answer["DeliveryStreamStatus"] == "ACTIVE", answer)
    check("the type", answer["DeliveryStreamType"] == "DirectPut", answer)
    check("the version", answer["VersionId"] == "1", answer)
    check("the creation time", answer["CreateTimestamp"].year >= 2020, answer)
    check("no more destinations", answer["HasMoreDestinations"] is False, answer)
    [destination] = answer["Destinations"]
    check("the destination's id", destination["DestinationId"] == "destinationId-000000000001")
    for shape in ["S3DestinationDescription", "ExtendedS3DestinationDescription"]:
        described = destination[shape]
        hints = described["BufferingHints"]
        check(f"{shape} has hints", hints["SizeInMBs"] >= 1 and "IntervalInSeconds" in hints, hints)
        for member in ["RoleARN", "BucketARN", "CompressionFormat", "EncryptionConfiguration"]:
            check(f"{shape} has {member}", described.get(member), described)


def list_streams(client, stream):
    every = client.list_delivery_streams(Limit=10000)
    names = every["DeliveryStreamNames"]
    check("the list is alphabetical and whole", names == sorted(set(names)), names)
    check("the list has the stream", stream in names, names)
    check("no more after all", every["HasMoreDeliveryStreams"] is False, every)
    first = client.list_delivery_streams()
    expected = (names[:10], len(names) > 10)
    seen = (first["DeliveryStreamNames"], first["HasMoreDeliveryStreams"])
    check("10 names without a limit", seen == expected, first)
    seen, more, start = [], True, {}
    while more:
        page = client.list_delivery_streams(Limit=1, **start)
        seen += page["DeliveryStreamNames"]
        more = page["HasMoreDeliveryStreams"]
        start = {"ExclusiveStartDeliveryStreamName": seen[-1]}
        if len(seen) > len(names):
            break
    check("pages of one name give the same list", seen == names, seen)
    direct = client.list_delivery_streams(Limit=10000, DeliveryStreamType="DirectPut")
    check("the type DirectPut selects", stream in direct["DeliveryStreamNames"], direct)
    other = client.list_delivery_streams(DeliveryStreamType="MSKAsSource")
    check("another type selects none", stream not in other["DeliveryStreamNames"], other)


def administrative(client, stream):
    name = {"DeliveryStreamName": stream}
    tag = {"Tags": [{"Key": "a", "Value": "b"}]}
    update = {"CurrentDeliveryStreamVersionId": "1", "DestinationId": "destinationId-000000000001"}
    for call, arguments in [
        (client.create_delivery_stream, name),
        (client.delete_delivery_stream, name),
        (client.update_destination, {**name, **update}),
        (client.start_delivery_stream_encryption, name),
        (client.stop_delivery_stream_encryption, name),
        (client.tag_delivery_stream, {**name, **tag}),
        (client.untag_delivery_stream, {**name, "TagKeys": ["a"]}),
        (client.list_tags_for_delivery_stream, name),
    ]:
        code, status, message = error_of(call, **arguments)
        says = code == "InvalidArgumentException" and "firehose.toml" in message
        check(f"{call.__name__} names firehose.toml", says and status == 400, (code, message))


def cli(endpoint, stream):
    """The AWS CLI: the same protocol through another front door."""

    def aws(*arguments):
        command = [sys.executable, "-m", "awscli", "firehose", *arguments]
        command += ["--endpoint-url", endpoint, "--region", "us-east-1", "--output", "json"]
        environment = {**os.environ, **CREDENTIALS, "AWS_MAX_ATTEMPTS": "1", "AWS_PAGER": ""}
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    name = ["--delivery-stream-name", stream]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "records.json")
        data = base64.b64encode(b'{"n":1}\n').decode()
        with open(path, "w", encoding="utf-8") as file:
            json.dump([{"Data": data}] * 3, file)
        done = aws("put-record-batch", *name, "--records", f"file://{path}")
        answer = json.loads(done.stdout or "{}")
        check("aws put-record-batch", len(answer.get("RequestResponses", [])) == 3, done)
    done = aws("put-record", *name, "--record", json.dumps({"Data": data}))
    check("aws put-record", "RecordId" in done.stdout, done)
    done = aws("describe-delivery-stream", *name)
    check("aws describe-delivery-stream", '"ACTIVE"' in done.stdout, done)
    done = aws("list-delivery-streams")
    check("aws list-delivery-streams", "DeliveryStreamNames" in done.stdout, done)
    done = aws("describe-delivery-stream", "--delivery-stream-name", "no-such-stream")
    expected = "(ResourceNotFoundException) when calling the DescribeDeliveryStream operation"
    check("aws names an unknown stream", done.returncode != 0 and expected in done.stderr, done)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    endpoint, stream = sys.argv[1:]
    client = boto3.client(
        "firehose",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"max_attempts": 0}, parameter_validation=False),
    )
    put_record(client, stream)
    put_record_batch(client, stream)
    unknown(client)
    describe(client, stream)
    list_streams(client, stream)
    administrative(client, stream)
    cli(endpoint, stream)
    if failures:
        sys.exit(f"{len(failures)} checks failed: {', '.join(failures)}")
    print("all checks hold")


main()
