"""Holds a daemon that has keys against boto3, the AWS CLI and requests that botocore signs.

    python keys.py ENDPOINT

The daemon has the streams clicks, audit-eu and orders, and the keys that KEYS names. 14 records are put into them. Prints a
line for each check that holds. Exits 1 with what differed.
"""

import datetime
import gzip
import http.client
import json
import os
import subprocess
import sys
import unittest.mock
import urllib.parse

import awscli  # noqa: F401  (run as `python -m awscli`)
import boto3
import botocore.auth
import botocore.exceptions
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

KEYS = {
    "clicks": "clicks/secret+0123456789=",
    "clicks-next": "clicks-next-0123456789",
    "audit": "audit-secret-0123456789",
    "reader": "reader-secret-0123456789",
}
ACCOUNT = "000000000000"
failures = []


def check(name, holds, seen=None):
    if holds:
        print(f"OK   {name}")
    else:
        print(f"FAIL {name}: {seen!r}")
        failures.append(name)


def client(endpoint, key, secret=None, token=None, region="us-east-1"):
    return boto3.client(
        "firehose",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret or KEYS[key],
        aws_session_token=token,
        config=Config(retries={"max_attempts": 0}),
    )


def error_of(call, **arguments):
    """The service error that a call ends in, as (code, status, message)."""
    try:
        return ("no error", 200, str(call(**arguments))[:200])
    except botocore.exceptions.ClientError as error:
        answer = error.response
        status = answer["ResponseMetadata"]["HTTPStatusCode"]
        return (answer["Error"]["Code"], status, answer["Error"]["Message"])


def put(client, stream):
    return error_of(client.put_record, DeliveryStreamName=stream, Record={"Data": b"x"})


def check_put(name, client, stream):
    seen = put(client, stream)
    check(name, seen[0] == "no error", seen)


def check_refused(name, seen, code, begins):
    check(name, seen[:2] == (code, 400) and seen[2].startswith(begins), seen)


def denied(key, operation, stream):
    action = f"firehose:{operation}"
    arn = f"arn:aws:firehose:us-east-1:{ACCOUNT}:deliverystream/{stream}"
    return (
        f"User: arn:aws:iam::{ACCOUNT}:user/{key} is not authorized to perform: {action} on resource: {arn} "
        f"because no identity-based policy allows the {action} action"
    )


def sdk(endpoint):
    clicks = client(endpoint, "clicks")
    check_put("the right key", clicks, "clicks")
    check_put("the key that is to follow it", client(endpoint, "clicks-next"), "clicks")
    check_put("another region", client(endpoint, "clicks", region="eu-central-1"), "clicks")
    answer = clicks.put_record_batch(
        DeliveryStreamName="clicks", Records=[{"Data": "ünï".encode()}, {"Data": b"\x00" * 200_000}]
    )
    check("a batch of 200 kB", answer["FailedPutCount"] == 0, answer)
    mismatch = "The request signature we calculated does not match the signature you provided."
    seen = put(client(endpoint, "clicks", "another/secret+0123456789="), "clicks")
    check_refused("a wrong secret", seen, "InvalidSignatureException", mismatch)
    seen = put(client(endpoint, "nobody", KEYS["clicks"]), "clicks")
    invalid = "The security token included in the request is invalid."
    check_refused("an unknown key", seen, "UnrecognizedClientException", invalid)
    seen = put(client(endpoint, "clicks", token="session"), "clicks")
    temporary = invalid + " (Temporary credentials cannot be checked here"
    check_refused("a session token", seen, "UnrecognizedClientException", temporary)
    for stream in ["orders", "no-such-stream"]:
        seen = put(clicks, stream)
        check_refused(stream, seen, "AccessDeniedException", denied("clicks", "PutRecord", stream))
    seen = error_of(clicks.describe_delivery_stream, DeliveryStreamName="clicks")
    expected = denied("clicks", "DescribeDeliveryStream", "clicks")
    check_refused("another action", seen, "AccessDeniedException", expected)
    seen = error_of(clicks.list_delivery_streams)
    check_refused("a list", seen, "AccessDeniedException", denied("clicks", "ListDeliveryStreams", "*"))
    audit, reader = client(endpoint, "audit"), client(endpoint, "reader")
    check_put("a stream of a pattern", audit, "audit-eu")
    seen = put(audit, "audit-none")
    check_refused("one that is not there", seen, "ResourceNotFoundException", "Firehose audit-none not")
    listed = audit.list_delivery_streams()
    names = (listed["DeliveryStreamNames"], listed["HasMoreDeliveryStreams"])
    check("a key lists its own streams", names == (["audit-eu"], False), listed)
    listed = reader.list_delivery_streams()["DeliveryStreamNames"]
    check("a key for all lists all", listed == ["audit-eu", "clicks", "orders"], listed)
    described = reader.describe_delivery_stream(DeliveryStreamName="orders")
    check("a reader describes", "DeliveryStreamDescription" in described, described)
    seen = put(reader, "orders")
    check_refused("a reader", seen, "AccessDeniedException", denied("reader", "PutRecord", "orders"))
    unsigned = boto3.client(
        "firehose",
        endpoint_url=endpoint,
        region_name="us-east-1",
        config=Config(signature_version=botocore.UNSIGNED, retries={"max_attempts": 0}),
    )
    seen = put(unsigned, "clicks")
    missing = "Request is missing Authentication Token"
    check_refused("no signature", seen, "MissingAuthenticationTokenException", missing)


def skewed(endpoint):
    now = datetime.datetime.now(datetime.timezone.utc)
    for minutes, expected in [(-4, None), (4, None), (-6, "Signature expired: "), (6, "Signature not yet current: ")]:
        then = now + datetime.timedelta(minutes=minutes)
        with unittest.mock.patch("botocore.auth.get_current_datetime", lambda **_: then):
            seen = put(client(endpoint, "clicks"), "clicks")
        name = f"a clock that is {minutes} minutes off"
        if expected is None:
            check(name, seen[0] == "no error", seen)
        else:
            check_refused(name, seen, "InvalidSignatureException", expected)


def signed(endpoint, path, body, headers, key="clicks", signer=botocore.auth.SigV4Auth, service="firehose"):
    """A request with a signature: its target, headers and body, to be sent as it is or changed."""
    request = AWSRequest("POST", endpoint + path, data=body, headers=headers)
    signer(Credentials(key, KEYS[key]), service, "us-east-1").add_auth(request)
    prepared = request.prepare()
    target = prepared.url[len(endpoint):]
    headers = dict(prepared.headers.items())
    headers.pop("Content-Length", None)  # that of the body that is sent is not signed
    return target, headers, body


def send(endpoint, target, headers, body, method="POST"):
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(endpoint).netloc, timeout=60)
    connection.request(method, target, body=body, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def by_hand(endpoint):
    headers = {"X-Amz-Target": "Firehose_20150804.PutRecord", "Content-Type": "application/x-amz-json-1.1"}
    put = json.dumps({"DeliveryStreamName": "clicks", "Record": {"Data": "eA=="}})
    target, headers, body = signed(endpoint, "/", put, headers)
    for name in ["a request as it was signed", "the same once more, which AWS allows too"]:
        seen = send(endpoint, target, headers, body)
        check(name, seen[0] == 200, seen)
    turned = dict(reversed(headers.items()))
    check("its headers in another order", send(endpoint, target, turned, body)[0] == 200)
    other = body.replace("eA==", "eQ==")
    date = headers["X-Amz-Date"]
    other_date = date[:-2] + ("8Z" if date.endswith("9Z") else "9Z")
    for name, seen in [
        ("another body", send(endpoint, target, headers, other)),
        ("another path", send(endpoint, "/?a=b", headers, body)),
        ("another target", send(endpoint, target, {**headers, "X-Amz-Target": "Firehose_20150804.PutRecordBatch"}, body)),
        ("another date", send(endpoint, target, {**headers, "X-Amz-Date": other_date}, body)),
    ]:
        check(name, seen[0] == 400 and "InvalidSignatureException" in seen[1], seen)
    wrong = signed(endpoint, "/", put, {"X-Amz-Target": "Firehose_20150804.PutRecord"}, service="kinesis")
    seen = send(endpoint, *wrong)
    check("another service", "scoped to correct service: 'firehose'" in seen[1], seen)


def plain(endpoint):
    path = "/streams/clicks/records"
    lines = gzip.compress(b"{}\n{}\n")
    target, headers, body = signed(endpoint, path, lines, {"Content-Encoding": "gzip"})
    seen = send(endpoint, target, headers, body)
    check("lines in gzip, signed", seen == (200, '{"accepted":2,"bytes":4}\n'), seen)
    seen = send(endpoint, target, headers, gzip.compress(b"{}\n[]\n"))
    check("other lines", seen[0] == 401 and "does not match" in seen[1], seen)
    # Who has not signed it learns neither that the key is not for a stream nor that it is not there.
    for name, moved, sent in [
        ("a stream that the key is not for", "/streams/orders/records", body),
        ("a stream that is not there", "/streams/none/records", body),
        ("a body that is not gzip", target, b"{}"),
    ]:
        seen = send(endpoint, moved, headers, sent)
        check(name, seen[0] == 401 and "does not match" in seen[1], seen)
    seen = send(endpoint, target, {**headers, "Content-Encoding": "br"}, body)
    check("an encoding that was not signed", seen[0] == 401, seen)
    target, headers, body = signed(endpoint, path, b"[1,2]\n", {})
    for name, value in [("Content-Type", "application/json"), ("content-encoding", "gzip")]:
        seen = send(endpoint, target, {**headers, name: value}, body)
        check(f"an added {name}", seen[0] == 401 and f"'{name.lower()}' must be a 'SignedHeader'" in seen[1], seen)
    seen = send(endpoint, *signed(endpoint, path, b"{}", {"Content-Encoding": "gzip"}))
    check("a body that is not gzip, signed", seen[0] == 400 and "gzip" in seen[1], seen)
    seen = send(endpoint, *signed(endpoint, "/streams/orders/records", b"a\n", {}))
    check("a stream of another key", seen[0] == 403, seen)
    for name, hashed in [("no payload", "UNSIGNED-PAYLOAD"), ("chunks", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")]:
        seen = send(endpoint, *signed(endpoint, path, b"c\n", {"X-Amz-Content-SHA256": hashed}))
        expected = (200, True) if name == "no payload" else (401, "only S3 takes bodies in chunks" in seen[1])
        check(f"a signature of {name}", (seen[0], expected[1]) == (expected[0], True), seen)
    presign = lambda credentials, service, region: botocore.auth.SigV4QueryAuth(credentials, service, region, expires=60)
    target, headers, body = signed(endpoint, path, "", {}, signer=presign)
    check("a signature in the query", send(endpoint, target, headers, "")[0] == 200, target)
    seen = send(endpoint, target, headers, "more\n")
    check("and a body that it does not have", seen[0] == 401, seen)
    seen = send(endpoint, path.replace("/clicks", "//clicks"), {}, b"a\n")
    check("a path with two slashes", seen[0] == 404, seen)


def cli(endpoint):
    def aws(key, secret, *arguments):
        command = [sys.executable, "-m", "awscli", "firehose", *arguments]
        command += ["--endpoint-url", endpoint, "--region", "us-east-1", "--output", "json"]
        environment = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_MAX_ATTEMPTS": "1"}
        environment = {**os.environ, **environment, "AWS_PAGER": ""}
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    record = ["put-record", "--delivery-stream-name", "audit-eu", "--record", "Data=x"]
    done = aws("audit", KEYS["audit"], *record)
    check("aws put-record", "RecordId" in done.stdout, done)
    done = aws("audit", KEYS["clicks"], *record)
    check("aws names a wrong secret", "(InvalidSignatureException) when calling" in done.stderr, done)
    done = aws("reader", KEYS["reader"], *record)
    check("aws names a denial", "(AccessDeniedException) when calling" in done.stderr, done)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    [endpoint] = sys.argv[1:]
    sdk(endpoint)
    skewed(endpoint)
    by_hand(endpoint)
    plain(endpoint)
    cli(endpoint)
    if failures:
        sys.exit(f"{len(failures)} checks failed: {', '.join(failures)}")
    print("all checks hold")


main()
