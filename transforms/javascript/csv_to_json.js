// csv-to-json in JavaScript: a line of CSV becomes a JSON object with typed fields. It takes the
// [config] of the Rust module, ../csv-to-json, and passes its pairs; the rules stand there.

import { Failure, bytes, dropped, ok, text, transformer } from "./firehose_transform.js";

const FIELDS = ["columns", "delimiter", "header", "null"];
const KINDS = ["string", "int", "float", "bool"];
const NUMBER = { int: /^[+-]?[0-9]+$/, float: /^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$/ };

let columns;
let delimiter;
let header;
let nullText;

export const { configure, transform } = transformer({
  setup(config) {
    for (const key of Object.keys(config)) {
      if (!FIELDS.includes(key)) {
        throw new Failure(`unknown field \`${key}\`, expected one of \`${FIELDS.join("`, `")}\``);
      }
    }
    if (config.columns === undefined) throw new Failure("missing field `columns`");
    delimiter = config.delimiter ?? ",";
    header = config.header ?? false;
    if (bytes(delimiter).length !== 1) throw new Failure("`delimiter` must be one ASCII character");
    if ('"\n\r'.includes(delimiter)) {
      throw new Failure("`delimiter` can be neither a quote nor a line break");
    }
    nullText = config.null;
    if (nullText?.startsWith('"') || [delimiter, "\n", "\r"].some((end) => nullText?.includes(end))) {
      throw new Failure("`null` must be what a field can be without quotes");
    }
    columns = [];
    for (const column of config.columns.map(parseColumn)) {
      if (columns.some((other) => other.name === column.name)) {
        throw new Failure(`\`columns\` names \`${column.name}\` twice`);
      }
      columns.push(column);
    }
    if (columns.length === 0) throw new Failure("`columns` names no column");
  },

  record(record) {
    const row = text(record.data).replace(/\n$/, "").replace(/\r$/, "");
    if (header && isHeader(row)) return dropped();
    const members = [];
    let count = 0;
    for (const field of fields(row)) {
      if (count < columns.length) members.push(member(columns[count], field));
      count += 1;
    }
    if (count !== columns.length) {
      throw new Failure(`expected ${columns.length} fields, found ${count}`);
    }
    return ok(bytes(`{${members.join(",")}}`));
  },
});

function parseColumn(written) {
  const colon = written.lastIndexOf(":");
  const [name, type] = colon < 0 ? [written, "string"] : [written.slice(0, colon), written.slice(colon + 1)];
  const mayBeEmpty = type.endsWith("?");
  const kind = mayBeEmpty ? type.slice(0, -1) : type;
  if (!KINDS.includes(kind)) {
    throw new Failure(`column \`${name}\`: there is no type \`${kind}\`, only string, int, float and bool`);
  }
  return { name, kind, mayBeEmpty };
}

/** `"name":value`, as JSON. */
function member(column, field) {
  return `${JSON.stringify(column.name)}:${value(column, field)}`;
}

function value({ name, kind, mayBeEmpty }, { text, quoted }) {
  if (!quoted && (text === nullText || (mayBeEmpty && text === ""))) return "null";
  if (kind === "string") return JSON.stringify(text);
  const bare = text.replace(/^[ \t\n\f\r]+|[ \t\n\f\r]+$/g, "");
  if (kind === "bool") {
    const word = bare.toLowerCase();
    if (word === "true" || word === "false") return word;
  } else if (NUMBER[kind].test(bare)) {
    // Its digits are looked at and never calculated with.
    return bare.replace(/^\+/, "").replace(/^(-?)0+(?=[0-9])/, "$1");
  }
  throw new Failure(`column \`${name}\`: expected ${kind}, found ${JSON.stringify(text)}`);
}

function isHeader(row) {
  try {
    const names = Array.from(fields(row), (field) => field.text);
    return names.length === columns.length && names.every((name, at) => name === columns[at].name);
  } catch {
    return false;
  }
}

/** The fields of a row: each one's text, and whether it was quoted. */
function* fields(row) {
  let at = 0;
  for (let number = 1; ; number += 1) {
    const quoted = row[at] === '"';
    let text = "";
    if (quoted) {
      for (at += 1; ; at += 1) {
        const quote = row.indexOf('"', at);
        if (quote < 0) throw new Failure(`field ${number}: a quote is never closed`);
        text += row.slice(at, quote);
        at = quote + 1;
        if (row[at] !== '"') break;
        text += '"';
      }
    } else {
      const start = at;
      while (at < row.length && row[at] !== delimiter && row[at] !== "\n" && row[at] !== "\r") at += 1;
      text = row.slice(start, at);
    }
    if (at < row.length && row[at] !== delimiter) {
      const fault = quoted ? "text after the closing quote" : "a line break outside of quotes; a record is one row";
      throw new Failure(`field ${number}: ${fault}`);
    }
    yield { text, quoted };
    if (at === row.length) return;
    at += 1;
  }
}
