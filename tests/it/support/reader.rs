//! The tables and keys of `firehose.toml`, as the config reader itself knows them: what its tables are asked for, and what
//! the kinds that are registered say they have.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use firehose::config;
use firehose::registry::registry;

/// A key that no table has, nor one that is near to it.
const STRANGE: &str = "zzzzzzzzzzzz";
/// Files that have all tables between them, the strange key in each. What kinds say they have is held against these, too,
/// for those that stand here.
const FILES: [&str; 7] = [
    r#"
@
[http]
@
[[http.key]]
id = "a"
secret = "0123456789abcdef"
@
[stream.NAME]
@
[stream.NAME.source]
type = "direct-put"
@
[stream.NAME.parse]
type = "csv"
columns = ["a"]
@
[[stream.NAME.transform]]
module = "a.wasm"
@
[stream.NAME.partitioning]
@
[stream.NAME.buffering]
@
[stream.NAME.format]
type = "parquet"
schema = "id string"
bloom_filter_columns = ["id"]
@
[stream.NAME.destination]
type = "s3"
bucket = "lake"
@
[stream.NAME.errors]
@
[stream.NAME.catalog]
type = "glue"
table = "lake.clicks"
@
[stream.NAME.backup]
@
"#,
    r#"
[stream.NAME.source]
type = "kinesis"
stream = "clicks"
start = "latest"
consumer = "enhanced-fan-out"
consumer_name = "firehose"
coordination = "dynamodb"
lease_table = "firehose"
@
[stream.NAME.parse]
type = "cloudwatch-logs"
@
[stream.NAME.format]
type = "json"
@
[stream.NAME.destination]
type = "folder"
path = "lake"
@
"#,
    r#"
[stream.NAME.source]
type = "direct-put"
[stream.NAME.format]
type = "csv"
schema = "id string, n int"
on_unknown_field = "keep"
@
[stream.NAME.destination]
type = "folder"
path = "lake"
"#,
    r#"
[stream.NAME.source]
type = "direct-put"
[stream.NAME.format]
type = "avro"
glue_table = "web.hits"
@
[stream.NAME.destination]
type = "folder"
path = "lake"
"#,
    r#"
[stream.NAME.source]
type = "direct-put"
[stream.NAME.parse]
type = "regex"
pattern = '(?<a>x)'
@
[stream.NAME.destination]
type = "folder"
path = "lake"
"#,
    r#"
[stream.NAME.source]
type = "direct-put"
[stream.NAME.parse]
type = "grok"
pattern = '%{INT:a}'
@
[stream.NAME.destination]
type = "folder"
path = "lake"
"#,
    r#"
[stream.NAME.source]
type = "direct-put"
[stream.NAME.parse]
type = "vpc-flow-log"
@
[stream.NAME.destination]
type = "folder"
path = "lake"
"#,
];

/// A kind of what stands behind a port.
pub struct Kind {
    /// The header of the table whose `type` names it.
    pub table: &'static str,
    pub word: &'static str,
    pub keys: Vec<&'static str>,
}

/// All kinds that a config can name. A kind that reads a key which it does not say it has fails where that is read, in
/// builds that hold assertions.
pub fn kinds() -> Vec<Kind> {
    let registry = registry();
    let kind = |table, word, keys| Kind { table, word, keys };
    let sources = registry.sources.iter().map(|source| {
        let keys = source.keys().concat();
        kind("[stream.NAME.source]", source.word(), keys)
    });
    let parsers = registry.parsers.iter().map(|parser| {
        let keys = parser.keys().to_vec();
        kind("[stream.NAME.parse]", parser.word(), keys)
    });
    let formats = registry.formats.iter().map(|format| {
        let keys = config::format_keys(*format).copied().collect();
        kind("[stream.NAME.format]", format.word(), keys)
    });
    let stores = registry.stores.iter().map(|store| {
        let keys = store.keys().to_vec();
        kind("[stream.NAME.destination]", store.word(), keys)
    });
    let catalogs = registry.catalogs.iter().map(|catalog| {
        let keys = catalog.keys().to_vec();
        kind("[stream.NAME.catalog]", catalog.word(), keys)
    });
    let kinds = sources.chain(parsers).chain(formats);
    kinds.chain(stores).chain(catalogs).collect()
}

/// Whether a kind stands in one of the files that are read here.
pub fn is_read(kind: &Kind) -> bool {
    let named = format!("{}\ntype = \"{}\"\n", kind.table, kind.word);
    FILES.iter().any(|file| file.contains(&named))
}

/// The keys of each table, by its header; `""` is the top level.
pub fn keys() -> BTreeMap<String, BTreeSet<String>> {
    let mut tables = asked();
    for Kind { table, keys, .. } in kinds() {
        let of_table = tables.get_mut(table).unwrap();
        of_table.extend(keys.into_iter().map(str::to_owned));
    }
    tables
}

/// The keys that the tables of some files are asked for. Tables inside tables are no keys.
pub fn asked() -> BTreeMap<String, BTreeSet<String>> {
    let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in FILES {
        let text = file.replace('@', &format!("{STRANGE} = 1"));
        let none = |_: &str| None;
        let faults = config::parse(text, Path::new("firehose.toml"), &none, &registry());
        let faults = faults.expect_err("the strange key is a fault").to_string();
        let marker = format!("unknown key \"{STRANGE}\" ");
        for fault in faults.split(&marker).skip(1) {
            let (place, rest) = fault.split_once('\n').unwrap();
            let allowed = rest.split_once("help: allowed: ");
            let (_, allowed) = allowed.unwrap_or_else(|| panic!("{place}: {rest}"));
            let allowed = allowed.lines().next().unwrap().split('`');
            let table = place.strip_prefix("in ").unwrap_or_default();
            let keys = tables.entry(table.to_owned()).or_default();
            keys.extend(allowed.skip(1).step_by(2).map(str::to_owned));
        }
    }
    let inner: Vec<String> = tables.keys().cloned().collect();
    for (table, keys) in &mut tables {
        keys.retain(|key| !inner.iter().any(|inner| is_of(inner, table, key)));
    }
    // Its tables have names of the user's own.
    tables.get_mut("").unwrap().remove("stream");
    tables
}

/// Whether `inner` is the header of the table `key` in `table`.
fn is_of(inner: &str, table: &str, key: &str) -> bool {
    let inner = inner.trim_matches(['[', ']']);
    match table.trim_matches(['[', ']']) {
        "" => inner == key,
        table => inner == format!("{table}.{key}"),
    }
}
