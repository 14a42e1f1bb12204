"""A foreign Kinesis client for the tests: boto3, and the aggregator of the KPL's Python port.

Usage: kinesis.py ENDPOINT ACTION STREAM ...; prints a JSON document as the answer. `produce` goes on
until standard input ends, and writes a ledger of one line an attempt: outcome, kind, id.
"""

import json
import random
import sys
import threading
import time

import aws_kinesis_agg.aggregator
import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

endpoint, action, stream, *rest = sys.argv[1:]
kinesis = boto3.client(
    "kinesis",
    endpoint_url=endpoint,
    region_name="us-east-1",
    aws_access_key_id="firehose-tests",
    aws_secret_access_key="firehose-tests-secret",
    # An attempt that fails has an unknown outcome, and is never repeated under its id.
    config=Config(retries={"max_attempts": 0}, connect_timeout=10, read_timeout=60),
)
PATIENCE = 90
WIDEST = 2**128


def persist(what):
    """Until the server is there and does it."""
    patience = time.monotonic() + PATIENCE
    while True:
        try:
            return what()
        except (BotoCoreError, ClientError):
            if time.monotonic() > patience:
                raise
            time.sleep(0.1)


def active():
    while True:
        described = persist(lambda: kinesis.describe_stream_summary(StreamName=stream))
        if described["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE":
            return
        time.sleep(0.05)


def create(shards):
    persist(lambda: kinesis.create_stream(StreamName=stream, ShardCount=int(shards)))
    active()


def delete():
    kinesis.delete_stream(StreamName=stream)
    patience = time.monotonic() + PATIENCE
    while time.monotonic() < patience:
        try:
            kinesis.describe_stream_summary(StreamName=stream)
        except ClientError:
            return
        time.sleep(0.05)


def shards():
    """All shards as they are listed."""
    return persist(lambda: kinesis.list_shards(StreamName=stream))["Shards"]


def open_shards():
    """Those that take records, by hash key: first, last, id."""
    found = [shard for shard in shards() if "EndingSequenceNumber" not in shard["SequenceNumberRange"]]
    return sorted(
        (int(shard["HashKeyRange"]["StartingHashKey"]), int(shard["HashKeyRange"]["EndingHashKey"]), shard["ShardId"])
        for shard in found
    )


def split(seed):
    """Splits a shard in the middle."""
    first, last, shard = random.Random(int(seed)).choice(open_shards())
    middle = str((first + last) // 2 + 1)
    kinesis.split_shard(StreamName=stream, ShardToSplit=shard, NewStartingHashKey=middle)
    active()


def merge(seed):
    """Merges two neighbours."""
    by_key = open_shards()
    left = random.Random(int(seed)).randrange(len(by_key) - 1)
    kinesis.merge_shards(
        StreamName=stream, ShardToMerge=by_key[left][2], AdjacentShardToMerge=by_key[left + 1][2]
    )
    active()


def put(path, key="key"):
    """One record out of a file."""
    with open(path, "rb") as file:
        return kinesis.put_record(StreamName=stream, PartitionKey=key, Data=file.read())


def aggregate(path):
    """The lines of a file as one record of the Producer Library, each with a key of its own."""
    aggregator = aws_kinesis_agg.aggregator.RecordAggregator()
    for number, line in enumerate(open(path, "rb").read().splitlines()):
        assert aggregator.add_user_record(f"key-{number}", line) is None, "more than one aggregate"
    key, _, data = aggregator.clear_and_get().get_contents()
    return kinesis.put_record(StreamName=stream, PartitionKey=key, Data=data)


EVENT_TYPES = ["view", "click", "purchase", "a/../../b=c %é"]
REGIONS = ["eu-central-1", "us-east-1", ".."]
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def event(rng, identity, pad_max):
    """A record as the oracle knows them, and what is to become of it."""
    pad = "".join(rng.choices(LETTERS, k=rng.randint(0, pad_max)))
    dice = rng.randrange(100)
    if dice == 0:
        return "not-json", f'{{"id":"{identity}","pad":"{pad}" and then no JSON "end":"{identity}"'
    if dice == 1:
        return "no-keys", f'{{"id":"{identity}","pad":"{pad}","end":"{identity}"}}'
    kind, value = ("misfit", '"not a number"') if dice == 2 else ("good", str(rng.randrange(2**32)))
    return kind, (
        f'{{"id":"{identity}","event_type":"{rng.choice(EVENT_TYPES)}","ts":"2026-11-22T07:00:00.123Z",'
        f'"geo":{{"region":"{rng.choice(REGIONS)}","lat":48.2}},"tags":["a","b"],'
        f'"value":{value},"pad":"{pad}","end":"{identity}"}}'
    )


class Sender:
    """Sends plain records and aggregates in turn, and notes what it was told."""

    def __init__(self, number, seed, ledger, lock, pad, joined):
        self.number, self.attempts = number, 0
        self.rng = random.Random(seed * 1000 + number)
        self.ledger, self.lock, self.pad, self.joined = ledger, lock, pad, joined

    def events(self):
        for _ in range(self.rng.randint(1, 40)):
            self.attempts += 1
            identity = f"k{self.number}x{self.attempts}z"
            yield identity, *event(self.rng, identity, self.pad)

    def records(self, events):
        """The events of each record: one, or where they are joined several in one record of eight, all JSON."""
        records, more = [], 0
        for each in events:
            if more and "not-json" not in (each[1], records[-1][-1][1]):
                records[-1].append(each)
                more -= 1
            else:
                records.append([each])
                more = self.rng.randint(1, 4) if self.joined and self.rng.randrange(8) == 0 else 0
        return records

    def data(self, record):
        """Its bytes: JSON texts, which the daemon takes apart."""
        return self.rng.choice(["", "\n", " ", "\r\n"]).join(text for _, _, text in record).encode()

    def note(self, told):
        with self.lock:
            self.ledger.writelines(f"{outcome} {kind} {identity}\n" for outcome, kind, identity in told)

    def send(self):
        records = self.records(self.events())
        try:
            outcomes = (self.aggregated if self.rng.random() < 0.5 else self.plain)(records)
        except (BotoCoreError, ClientError):
            outcomes = ["unknown"] * len(records)
        told = zip(outcomes, records)
        self.note([(outcome, kind, identity) for outcome, record in told for identity, kind, _ in record])

    def plain(self, records):
        records = [
            {
                "Data": self.data(record),
                "PartitionKey": record[0][0],
                "ExplicitHashKey": str(self.rng.randrange(WIDEST)),
            }
            for record in records
        ]
        answers = kinesis.put_records(StreamName=stream, Records=records)["Records"]
        return ["refused" if "ErrorCode" in answer else "acknowledged" for answer in answers]

    def aggregated(self, records):
        aggregator = aws_kinesis_agg.aggregator.RecordAggregator()
        for record in records:
            assert aggregator.add_user_record(record[0][0], self.data(record)) is None
        _, _, data = aggregator.clear_and_get().get_contents()
        # Anywhere: most of its records belong to other shards, as after a reshard.
        kinesis.put_record(
            StreamName=stream, PartitionKey="a", ExplicitHashKey=str(self.rng.randrange(WIDEST)), Data=data
        )
        return ["acknowledged"] * len(records)


def produce(path, seed, senders, pad, pause, joined):
    stop, lock = threading.Event(), threading.Lock()
    with open(path, "a") as ledger:

        def run(number):
            sender = Sender(number, int(seed), ledger, lock, int(pad), joined == "joined")
            while not stop.is_set():
                sender.send()
                stop.wait(float(pause))

        threads = [threading.Thread(target=run, args=(number,)) for number in range(int(senders))]
        for thread in threads:
            thread.start()
        sys.stdin.buffer.read()
        stop.set()
        for thread in threads:
            thread.join()


actions = [create, delete, shards, split, merge, put, aggregate, produce]
answer = {each.__name__: each for each in actions}[action](*rest)
json.dump(answer, sys.stdout, default=str)
