"""Holds what a stream with the guest `split.wat` has delivered against the producer's ledger.

Usage: oracle.py LEDGER LAKE

Whatever the guest decided and however often, each acknowledged record has one fate: one line in
processing-failed, or each output that its length asks for, once, as data or in another error object.
The backup holds each record once, and tells its length. Prints a summary as JSON; exit code 1 and the
findings on standard error when a promise is broken.
"""

import base64
import collections
import gzip
import json
import pathlib
import re
import sys

ID = re.compile(rb'^\{"id":"(k\d+x\d+z)"')

ledger = {}
for line in open(sys.argv[1]):
    outcome, _, identity = line.split()
    ledger[identity] = outcome
lake = pathlib.Path(sys.argv[2])


def objects(prefix):
    for path in (lake / prefix).rglob("*"):
        if path.is_file() and ".firehose" not in path.parts:
            data = path.read_bytes()
            yield path, gzip.decompress(data) if path.suffix == ".gz" else data


outputs = collections.defaultdict(collections.Counter)
failed, backup, codes = collections.Counter(), collections.Counter(), collections.Counter()
lengths = {}
for path, data in objects("data"):
    for line in data.splitlines():
        row = json.loads(line)
        assert row["end"] == row["id"], f"{path}: a torn record"
        outputs[row["id"]][row["out"]] += 1
for path, data in objects("errors"):
    for line in data.splitlines():
        document = json.loads(line)
        identity = ID.match(base64.b64decode(document["rawData"]))[1].decode()
        if "processing-failed" in path.parts:
            assert "outputIndex" not in document, document
            assert document["errorCode"] == "Lambda.FunctionError", document
            assert document["attemptsMade"] in (1, 2), document
            codes[document["transformErrorCode"]] += 1
            failed[identity] += 1
        else:
            outputs[identity][document["outputIndex"]] += 1
for path, data in objects("raw"):
    for line in data.splitlines():
        identity = ID.match(line)[1].decode()
        backup[identity] += 1
        lengths[identity] = len(line)

findings, fates = collections.Counter(), collections.Counter()
for identity in ledger.keys() | outputs.keys() | failed.keys() | backup.keys():
    outcome, copies = ledger.get(identity), backup[identity]
    has_come = failed[identity] + outputs[identity].total() > 0
    if outcome is None:
        findings["never sent"] += 1
    elif copies > 1:
        findings["backup doubled"] += 1
    elif copies == 0 and (outcome == "acknowledged" or has_come):
        findings["backup lost"] += 1
    if failed[identity] > 1 or (failed[identity] and outputs[identity]):
        findings["failed and delivered, or failed twice"] += 1
    elif copies and not failed[identity]:
        length = lengths[identity]
        numbers = 0 if length % 7 == 0 else 3 if length % 5 == 0 else 1
        fates[numbers] += 1
        expected = collections.Counter(range(numbers))
        if expected - outputs[identity]:
            findings["outputs lost"] += 1
        if outputs[identity] - expected:
            findings["outputs doubled"] += 1
print(json.dumps({"attempts": collections.Counter(ledger.values()), "failed": codes,
                  "dropped": fates[0], "passed": fates[1], "split": fates[3],
                  "outputs": sum(counter.total() for counter in outputs.values()),
                  "findings": findings}))
for what, count in findings.items():
    print(f"{what}: {count}", file=sys.stderr)
sys.exit(1 if findings or not outputs else 0)
