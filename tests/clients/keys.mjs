// Holds a daemon that has keys against the AWS SDK for JavaScript.
//
//     node keys.mjs SDK ENDPOINT KEY SECRET
//
// SDK is the module to load, ENDPOINT the daemon's URL; the key may put to clicks, and nothing else. Three records are put. Exits
// 1 with what differed.

const [sdk, endpoint, accessKeyId, secretAccessKey] = process.argv.slice(2);
const { FirehoseClient, PutRecordCommand, PutRecordBatchCommand } = (await import(sdk)).default;
let failed = 0;

function check(name, holds, seen) {
  console.log(holds ? `OK   ${name}` : `FAIL ${name}: ${JSON.stringify(seen)}`);
  failed += holds ? 0 : 1;
}

function client(secret, more) {
  const credentials = { accessKeyId, secretAccessKey: secret };
  return new FirehoseClient({ endpoint, region: "us-east-1", credentials, ...more });
}

const Data = new TextEncoder().encode("ünï");
const put = (to, DeliveryStreamName) => to.send(new PutRecordCommand({ DeliveryStreamName, Record: { Data } }));

async function refused(name, sending, expected) {
  const seen = await sending.then(() => null, (error) => error);
  const { attempts, httpStatusCode } = seen?.$metadata ?? {};
  check(name, seen?.name === expected && attempts === 1 && httpStatusCode === 400, [seen?.name, seen?.message, seen?.$metadata]);
}

check("the right key", (await put(client(secretAccessKey), "clicks")).RecordId);
const batch = new PutRecordBatchCommand({ DeliveryStreamName: "clicks", Records: [{ Data }] });
check("a batch", (await client(secretAccessKey).send(batch)).FailedPutCount === 0);
// None of these is tried again.
await refused("a wrong secret", put(client("another-secret-0123456789"), "clicks"), "InvalidSignatureException");
await refused("another stream", put(client(secretAccessKey), "orders"), "AccessDeniedException");
// The SDK learns from a refusal by how much its clock is off, and tries again, as it does at AWS.
const late = client(secretAccessKey, { systemClockOffset: -3600_000 });
const { RecordId, $metadata } = await put(late, "clicks");
check("a clock that is an hour off", RecordId && $metadata.attempts === 2, $metadata);

process.exit(failed === 0 ? 0 : 1);
