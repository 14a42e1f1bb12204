// What a firehose transform in JavaScript needs: the contract for one record at a time, and text.
//
//   import { transformer, ok, text, bytes } from "./firehose_transform.js";
//
//   let suffix;
//   export const { configure, transform } = transformer({
//     setup(config) { suffix = config.suffix ?? ""; },
//     record(record) { return ok(bytes(text(record.data) + suffix)); },
//   });

import * as host from "firehose:transform/host@1.0.0";

/** Thrown in `setup` it keeps the module from being used, in `record` it fails that record. */
export class Failure extends Error {}

/**
 * The two exports of a module. `setup(config)` is called once, with the stream's [config] table;
 * `record(record, index)` for each record, with `record.data` (a Uint8Array) and `record.arrivalMs`.
 */
export function transformer({ setup, record }) {
  return {
    configure(config) {
      try {
        setup?.(JSON.parse(config));
      } catch (error) {
        throw why(error);
      }
    },
    transform(records) {
      return records.map((input, index) => {
        try {
          return record(input, index);
        } catch (error) {
          return { tag: "failed", val: why(error) };
        }
      });
    },
  };
}

function why(error) {
  return error instanceof Failure ? error.message : String(error);
}

/** A record that comes out, with its partition keys: output(data, {customer: "42"}). */
export const output = (data, keys = {}) => ({ data, partitionKeys: Object.entries(keys) });

/** One record comes out. */
export const ok = (data, keys) => ({ tag: "ok", val: output(data, keys) });

/** Several records come out, in this order. */
export const many = (outputs) => ({ tag: "many", val: outputs });

/** The record is left out on purpose. */
export const dropped = () => ({ tag: "dropped" });

/** Writes a line to the daemon's log; the level is "error", "warn", "info" or "debug". */
export const log = (message, level = "info") => host.log(level, message);

/** Where a record came from: {deliveryStream, shard, sequenceNumber, …}. */
export const originOf = (index) => host.originOf(index);

// QuickJS has neither TextDecoder nor TextEncoder, but URIs are UTF-8 too, and their functions are
// native.

/** The text that bytes in UTF-8 mean. */
export function text(data) {
  let binary = "";
  for (let start = 0; start < data.length; start += 4096) {
    binary += String.fromCharCode.apply(null, data.subarray(start, start + 4096));
  }
  try {
    return isAscii(binary) ? binary : decodeURIComponent(escape(binary));
  } catch {
    throw new Failure("the record is not UTF-8");
  }
}

/** A text's bytes in UTF-8. */
export function bytes(text) {
  const binary = isAscii(text) ? text : unescape(encodeURIComponent(text));
  const data = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at += 1) data[at] = binary.charCodeAt(at);
  return data;
}

function isAscii(text) {
  return /^[\x00-\x7f]*$/.test(text);
}
