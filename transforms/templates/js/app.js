// Stamps JSON objects with the environment that they come from.
//
// [stream.NAME.transform.config]
// env = "production"

import { Failure, bytes, dropped, ok, text, transformer } from "./firehose_transform.js";

let env;

export const { configure, transform } = transformer({
  setup(config) {
    for (const key of Object.keys(config)) {
      if (key !== "env") throw new Failure(`unknown field \`${key}\`, expected \`env\``);
    }
    env = config.env;
    if (!env) throw new Failure("`env` is empty");
  },

  // JSON.parse makes floats of all numbers: 1.0 comes out as 1, and 2^53 + 1 as 2^53.
  record(record) {
    let value;
    try {
      value = JSON.parse(text(record.data));
    } catch {
      throw new Failure("the record is no JSON");
    }
    if (value === null || typeof value !== "object" || Array.isArray(value)) {
      throw new Failure("the record is no JSON object");
    }
    if (Object.keys(value).length === 0) return dropped();
    return ok(bytes(JSON.stringify({ ...value, env })), { env });
  },
});
