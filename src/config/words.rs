//! What is said to a wrong word, and where the words of Amazon Data Firehose went. What stands behind a port says itself
//! which keys it has, and which of those words it has others for.

use firehose_nearest::{fold, nearest};

use super::registry::Registry;

/// Firehose's own words and common slips, folded (see [`fold`]), with what to write instead.
const TRANSLATIONS: &[(&str, &str)] = &[
    (
        "backupprefix",
        "failed records go under `error_prefix` in [stream.NAME.destination]; the \
                      prefix of the source backup is `prefix` in [stream.NAME.backup]",
    ),
    (
        "erroroutputprefix",
        "Firehose's ErrorOutputPrefix is `error_prefix` in [stream.NAME.destination]",
    ),
    (
        "bufferinghints",
        "Firehose's BufferingHints are `size` and `interval` in [stream.NAME.buffering]",
    ),
    (
        "sizeinmbs",
        "Firehose's SizeInMBs is `size` in [stream.NAME.buffering], such as \"128MiB\"",
    ),
    (
        "intervalinseconds",
        "Firehose's IntervalInSeconds is `interval` in [stream.NAME.buffering], such as \"900s\"",
    ),
    (
        "compressionformat",
        "Firehose's CompressionFormat is `compression` in [stream.NAME.format]",
    ),
    (
        "schemaconfiguration",
        "Firehose's SchemaConfiguration is `glue_table` in [stream.NAME.format], or `schema` or `schema_file` for columns that \
         are written down",
    ),
    (
        "inputformatconfiguration",
        "Firehose's InputFormatConfiguration is `deserializer` in [stream.NAME.format], \"openx\" or \"hive\"",
    ),
    (
        "openxjsonserde",
        "Firehose's OpenXJsonSerDe is `deserializer = \"openx\"` in [stream.NAME.format], the default",
    ),
    (
        "hivejsonserde",
        "Firehose's HiveJsonSerDe is `deserializer = \"hive\"` in [stream.NAME.format]",
    ),
    (
        "convertdotsinjsonkeystounderscores",
        "Firehose's ConvertDotsInJsonKeysToUnderscores is `dots_to_underscores` in [stream.NAME.format]",
    ),
    (
        "columntojsonkeymappings",
        "Firehose's ColumnToJsonKeyMappings is `column_to_json_key` in [stream.NAME.format]",
    ),
    (
        "dynamicpartitioningconfiguration",
        "Firehose's DynamicPartitioningConfiguration is [stream.NAME.partitioning]",
    ),
    (
        "metadataextractionquery",
        "Firehose's MetadataExtractionQuery is `query` in [stream.NAME.partitioning]",
    ),
    (
        "customtimezone",
        "Firehose's CustomTimeZone is `time_zone` in [stream.NAME.partitioning]",
    ),
    (
        "s3backupmode",
        "Firehose's S3BackupMode is on when there is a table [stream.NAME.backup]",
    ),
    (
        "s3backupconfiguration",
        "Firehose's S3BackupConfiguration is [stream.NAME.backup]",
    ),
    (
        "rolearn",
        "there is no role to name: credentials come from the environment, a profile or web identity as the AWS SDK finds them",
    ),
    (
        "appenddelimitertorecord",
        "Firehose's AppendDelimiterToRecord is `delimiter = \"newline\"` in [stream.NAME.format], the default",
    ),
    (
        "fileextension",
        "the extension follows from format and compression; it cannot be set",
    ),
    (
        "processingconfiguration",
        "Firehose's ProcessingConfiguration is [[stream.NAME.transform]], with a WebAssembly module in \
         the place of a Lambda function",
    ),
    (
        "transforms",
        "write [[stream.NAME.transform]] for each transform",
    ),
    (
        "deliverystreamname",
        "a delivery stream is named by its table: [stream.NAME.source]",
    ),
];

/// The same of words that other tables may mean otherwise: what they are in the table of a format that has a schema.
const OF_SCHEMA: &[(&str, &str)] = &[
    ("databasename", NAMED_TABLE),
    ("tablename", NAMED_TABLE),
    (
        "versionid",
        "Firehose's VersionId is `glue_version` in [stream.NAME.format], a number or \"latest\"",
    ),
    (
        "catalogid",
        "Firehose's CatalogId is `glue_catalog_id` in [stream.NAME.format]",
    ),
    (
        "region",
        "Firehose's Region of a schema is `glue_region` in [stream.NAME.format]",
    ),
];

const NAMED_TABLE: &str = "Firehose's DatabaseName and TableName are `glue_table` in [stream.NAME.format], such as \"web.hits\"";

/// Those of them that name the table of a catalog.
const OF_CATALOG: [&str; 2] = ["databasename", "tablename"];

/// Help for a word of Firehose's, folded, in a table that knows `allowed`.
fn translation(table: &str, word: &str, allowed: &[&str]) -> Option<&'static str> {
    if table.ends_with(".catalog") && OF_CATALOG.contains(&word) {
        return Some(
            "the database and the table are `table` in [stream.NAME.catalog], such as \"web.hits\"",
        );
    }
    let has_schema = allowed.contains(&"glue_table");
    let of_schema = OF_SCHEMA.iter().filter(|_| has_schema);
    let mut known = TRANSLATIONS.iter().chain(of_schema);
    known
        .find(|(theirs, _)| *theirs == word)
        .map(|(_, help)| *help)
}

/// Keys and the table they belong to, for keys that stand in a wrong one; those of what stands behind a port it says itself.
const WHERE_KEYS_BELONG: &[(&str, &str)] = &[
    ("state_dir", "at the top level, before the first [header]"),
    (
        "memory_limit",
        "at the top level, before the first [header]",
    ),
    (
        "shutdown_grace",
        "at the top level, before the first [header]",
    ),
    (
        "stalled_after",
        "at the top level, before the first [header]",
    ),
    ("listen", "in [http]"),
    ("connections", "in [http]"),
    ("hosts", "in [http]"),
    ("secret", "in [[http.key]]"),
    ("secret_file", "in [[http.key]]"),
    ("streams", "in [[http.key]]"),
    ("actions", "in [[http.key]]"),
    ("spool_limit", "in [stream.NAME]"),
    ("module", "in [[stream.NAME.transform]]"),
    ("timeout", "in [[stream.NAME.transform]]"),
    ("log_lines", "in [[stream.NAME.transform]]"),
    ("isolation", "in [[stream.NAME.transform]]"),
    ("query", "in [stream.NAME.partitioning]"),
    ("event_time", "in [stream.NAME.partitioning]"),
    ("time_zone", "in [stream.NAME.partitioning]"),
    ("key_values", "in [stream.NAME.partitioning]"),
    ("on_partition_limit", "in [stream.NAME.partitioning]"),
    ("max_open_partitions", "in [stream.NAME.partitioning]"),
    ("size", "in [stream.NAME.buffering]"),
    ("interval", "in [stream.NAME.buffering]"),
    ("size_of", "in [stream.NAME.buffering]"),
    ("align", "in [stream.NAME.buffering]"),
    ("close_after", "in [stream.NAME.buffering]"),
    ("watermark", "in [stream.NAME.buffering]"),
    ("prefix", "in [stream.NAME.destination]"),
    ("late_prefix", "in [stream.NAME.destination]"),
    ("error_prefix", "in [stream.NAME.destination]"),
];

/// Help for keys and tables by which errors or backup would have a destination of their own.
const OWN_DESTINATION: &str = "errors and backup can have a destination of their own, in \
                               [stream.NAME.errors.destination] and [stream.NAME.backup.destination]; where \
                               they have none, `error_prefix` in [stream.NAME.destination] and `prefix` in \
                               [stream.NAME.backup] keep them apart from data";

/// What begins the name of a destination for something other than data, folded.
const OTHER_LANES: &[&str] = &["error", "backup", "failed", "failure", "deadletter", "dlq"];

/// Help for a key that is right in a table like this one: the table's path is as in its header.
fn lane_help(table: &str, word: &str, registry: &Registry) -> Option<&'static str> {
    let is_backup = table.ends_with(".backup");
    let is_errors = table.ends_with(".errors");
    if (is_backup || is_errors) && registry.is_of_destinations(word) {
        return Some(OWN_DESTINATION);
    }
    if is_errors && matches!(word, "prefix" | "errorprefix") {
        return Some("the prefix of errors is `error_prefix` in [stream.NAME.destination]");
    }
    if is_backup {
        return match word {
            "type" | "compression" | "delimiter" => {
                Some("it belongs in [stream.NAME.backup.format]")
            }
            "size" | "sizeof" | "interval" | "align" | "closeafter" => {
                Some("it belongs in [stream.NAME.backup.buffering]")
            }
            _ => None,
        };
    }
    let is_stream = table.starts_with("stream.");
    let of_lane = OTHER_LANES.iter().find_map(|lane| {
        let rest = word.strip_prefix(lane)?;
        Some(rest.strip_prefix('s').unwrap_or(rest))
    });
    // Firehose's own word for the backup's settings is translated.
    let is_destination =
        |of: &str| of.is_empty() || registry.is_of_destinations(of) || of == "output";
    let is_other = is_stream && of_lane.is_some_and(is_destination);
    is_other.then_some(OWN_DESTINATION)
}

/// Allowed words that are listed in full.
const LISTED_MAX: usize = 48;
/// Allowed words that are listed even beside the one that was probably meant.
const LISTED_BESIDE_MAX: usize = 8;

/// Help for an unknown key of a table that knows `allowed`; the table's path is as in its header.
pub(super) fn key_help(table: &str, word: &str, allowed: &[&str], registry: &Registry) -> String {
    let folded = fold(word);
    if let Some(help) = lane_help(table, &folded, registry) {
        return help.to_owned();
    }
    if !allowed.iter().any(|right| fold(right) == folded) {
        if let Some(help) = translation(table, &folded, allowed) {
            return help.to_owned();
        }
        if let Some((theirs, ours)) = registry.translation(&folded) {
            return format!("Firehose's {theirs} {ours}");
        }
        // A slip of a key that is allowed here is likelier than a kind's key in the wrong table.
        let is_slip = nearest(word, allowed.iter().copied()).is_some();
        let of_kinds = registry.where_keys_belong().filter(|_| !is_slip);
        let known = WHERE_KEYS_BELONG.iter().copied().chain(of_kinds);
        if let Some((key, place)) = known.into_iter().find(|(key, _)| fold(key) == folded) {
            return format!("`{key}` belongs {place}");
        }
    }
    choose(word, allowed, '`')
}

/// "did you mean" and the list of what is allowed, each word in `quote`s.
pub fn choose(word: &str, allowed: &[&str], quote: char) -> String {
    let quoted = |word: &str| format!("{quote}{word}{quote}");
    let mut sorted = allowed.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let list: Vec<String> = sorted
        .iter()
        .take(LISTED_MAX)
        .map(|word| quoted(word))
        .collect();
    let list = list.join(", ");
    match nearest(word, allowed.iter().copied()) {
        Some(right) if sorted.len() > LISTED_BESIDE_MAX => {
            format!("did you mean {}?", quoted(right))
        }
        Some(right) => format!("did you mean {}? allowed: {list}", quoted(right)),
        None if allowed.is_empty() => "no key is allowed here".to_owned(),
        None => format!("allowed: {list}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{OF_CATALOG, OF_SCHEMA, TRANSLATIONS, fold};

    #[test]
    fn the_translations_are_folded_so_that_they_can_be_found() {
        let words = TRANSLATIONS.iter().chain(OF_SCHEMA).map(|(word, _)| *word);
        assert!(words.chain(OF_CATALOG).all(|word| fold(word) == *word));
    }
}
