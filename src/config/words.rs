//! What is said to a wrong word, and where the words of Amazon Data Firehose went.

use firehose_nearest::{fold, nearest};

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
        "dataformatconversionconfiguration",
        "Firehose's DataFormatConversionConfiguration is [stream.NAME.format] with `type = \"parquet\"`",
    ),
    (
        "schemaconfiguration",
        "Firehose's SchemaConfiguration is `schema` or `schema_file` in [stream.NAME.format]",
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
        "parquetserde",
        "Firehose's ParquetSerDe is `type = \"parquet\"` in [stream.NAME.format], with its options beside it",
    ),
    (
        "orcserde",
        "Firehose's OrcSerDe has no counterpart: write `type = \"parquet\"` in [stream.NAME.format]",
    ),
    (
        "blocksizebytes",
        "Firehose's BlockSizeBytes is `block_size` in [stream.NAME.format], such as \"64MiB\"",
    ),
    (
        "pagesizebytes",
        "Firehose's PageSizeBytes is `page_size` in [stream.NAME.format], such as \"1MiB\"",
    ),
    (
        "enabledictionarycompression",
        "Firehose's EnableDictionaryCompression is `dictionary` in [stream.NAME.format]",
    ),
    (
        "maxpaddingbytes",
        "Firehose's MaxPaddingBytes is `max_padding` in [stream.NAME.format], where it does nothing",
    ),
    (
        "bloomfiltercolumns",
        "Firehose's BloomFilterColumns is `bloom_filter_columns` in [stream.NAME.format], of Parquet here",
    ),
    (
        "bloomfilterfalsepositiveprobability",
        "Firehose's BloomFilterFalsePositiveProbability is `bloom_filter_fpp` in [stream.NAME.format], of Parquet here",
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
        "extendeds3destinationconfiguration",
        "Firehose's ExtendedS3DestinationConfiguration is [stream.NAME.destination] with `type = \"s3\"`",
    ),
    (
        "s3destinationconfiguration",
        "Firehose's S3DestinationConfiguration is [stream.NAME.destination] with `type = \"s3\"`",
    ),
    (
        "bucketarn",
        "Firehose's BucketARN is `bucket` in [stream.NAME.destination], the name alone",
    ),
    (
        "rolearn",
        "there is no role to name: credentials come from the environment, a profile or web identity as the AWS SDK finds them",
    ),
    (
        "encryptionconfiguration",
        "Firehose's EncryptionConfiguration is `encryption` and `kms_key_id` in [stream.NAME.destination]",
    ),
    (
        "awskmskeyarn",
        "Firehose's AWSKMSKeyARN is `kms_key_id` in [stream.NAME.destination]",
    ),
    (
        "kmskeyarn",
        "Firehose's KMSKeyArn is `kms_key_id` in [stream.NAME.destination]",
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
        "decompression",
        "Firehose's Decompression is [stream.NAME.parse] with `type = \"cloudwatch-logs\"`",
    ),
    (
        "cloudwatchlogprocessing",
        "Firehose's CloudWatchLogProcessing is `extract = \"message\"` in [stream.NAME.parse] with \
         `type = \"cloudwatch-logs\"`",
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

/// Keys and the table they belong to, for keys that stand in a wrong one.
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
    ("spool_limit", "in [stream.NAME]"),
    ("journal_limit", "in [stream.NAME.source]"),
    ("pattern", "in [stream.NAME.parse]"),
    ("extract", "in [stream.NAME.parse]"),
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
    ("compression", "in [stream.NAME.format]"),
    ("delimiter", "in [stream.NAME.format]"),
    ("schema", "in [stream.NAME.format]"),
    ("schema_file", "in [stream.NAME.format]"),
    ("on_unknown_field", "in [stream.NAME.format]"),
    ("on_conversion_error", "in [stream.NAME.format]"),
    ("deserializer", "in [stream.NAME.format]"),
    ("timestamp_formats", "in [stream.NAME.format]"),
    ("prefix", "in [stream.NAME.destination]"),
    ("error_prefix", "in [stream.NAME.destination]"),
    ("bucket", "in [stream.NAME.destination]"),
    ("region", "in [stream.NAME.destination]"),
    ("endpoint", "in [stream.NAME.destination]"),
    ("path", "in [stream.NAME.destination]"),
];

/// Help for keys and tables by which errors or backup would have a destination of their own.
const OWN_DESTINATION: &str = "errors and backup can have a destination of their own, in \
                               [stream.NAME.errors.destination] and [stream.NAME.backup.destination]; where \
                               they have none, `error_prefix` in [stream.NAME.destination] and `prefix` in \
                               [stream.NAME.backup] keep them apart from data";

/// What a destination has, folded: in a backup it would be one of its own.
const DESTINATION_KEYS: &[&str] = &[
    "destination",
    "bucket",
    "bucketarn",
    "region",
    "endpoint",
    "path",
    "pathstyle",
    "profile",
    "accesskeyid",
    "secretaccesskey",
    "secretaccesskeyfile",
    "storageclass",
    "encryption",
    "kmskeyid",
    "acl",
    "tags",
    "s3",
    "folder",
    "store",
];

/// What begins the name of a destination for something other than data, folded.
const OTHER_LANES: &[&str] = &["error", "backup", "failed", "failure", "deadletter", "dlq"];

/// Help for a key that is right in a table like this one: the table's path is as in its header.
fn lane_help(table: &str, word: &str) -> Option<&'static str> {
    let is_backup = table.ends_with(".backup");
    let is_errors = table.ends_with(".errors");
    if (is_backup || is_errors) && DESTINATION_KEYS.contains(&word) {
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
        |of: &str| of.is_empty() || DESTINATION_KEYS.contains(&of) || of == "output";
    let is_other = is_stream && of_lane.is_some_and(is_destination);
    is_other.then_some(OWN_DESTINATION)
}

/// Allowed words that are listed in full.
const LISTED_MAX: usize = 48;
/// Allowed words that are listed even beside the one that was probably meant.
const LISTED_BESIDE_MAX: usize = 8;

/// Help for an unknown key of a table that knows `allowed`; the table's path is as in its header.
pub(super) fn key_help(table: &str, word: &str, allowed: &[&str]) -> String {
    let folded = fold(word);
    if let Some(help) = lane_help(table, &folded) {
        return help.to_owned();
    }
    if !allowed.iter().any(|right| fold(right) == folded) {
        if let Some((_, help)) = TRANSLATIONS.iter().find(|(theirs, _)| *theirs == folded) {
            return (*help).to_owned();
        }
        if let Some((key, place)) = WHERE_KEYS_BELONG
            .iter()
            .find(|(key, _)| fold(key) == folded)
        {
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
    use super::{TRANSLATIONS, WHERE_KEYS_BELONG, fold, key_help};

    #[test]
    fn a_key_of_another_table_is_answered_with_its_table() {
        let help = key_help("stream.c", "error_prefix", &["source", "destination"]);
        assert_eq!(help, "`error_prefix` belongs in [stream.NAME.destination]");
    }

    #[test]
    fn words_of_firehose_are_translated() {
        let help = key_help("stream.c.buffering", "SizeInMBs", &["size", "interval"]);
        assert!(help.contains("`size` in [stream.NAME.buffering]"), "{help}");
        assert!(
            key_help("stream.c.destination", "backup_prefix", &["prefix"])
                .contains("`error_prefix`")
        );
        assert!(
            key_help("stream.c.destination", "Prefix", &["prefix"])
                .contains("did you mean `prefix`")
        );
    }

    #[test]
    fn where_errors_and_backup_have_their_own_destination_is_said() {
        for (table, word) in [
            ("stream.c.backup", "bucket"),
            ("stream.c.backup", "region"),
            ("stream.c.backup", "path"),
            ("stream.c.errors", "bucket"),
            ("stream.c", "error"),
            ("stream.c", "error_destination"),
            ("stream.c", "backup_bucket"),
            ("stream.c", "dead_letter"),
            ("stream.c.destination", "error_bucket"),
            ("stream.c.destination", "errors"),
            ("stream.c.destination", "backup"),
            ("stream.c.destination", "ErrorBucketARN"),
            ("stream.c.destination", "error_path"),
        ] {
            let help = key_help(table, word, &["prefix", "error_prefix", "backup", "type"]);
            assert!(
                help.contains("can have a destination of their own"),
                "{table} {word}: {help}"
            );
        }
        for (table, word, told) in [
            (
                "stream.c.destination",
                "error_prefx",
                "did you mean `error_prefix`",
            ),
            ("stream.c.destination", "backup_prefix", "`error_prefix`"),
            (
                "stream.c.backup",
                "compression",
                "[stream.NAME.backup.format]",
            ),
            (
                "stream.c.backup",
                "interval",
                "[stream.NAME.backup.buffering]",
            ),
            ("stream.c", "bucket", "`bucket` belongs in"),
        ] {
            let help = key_help(table, word, &["prefix", "error_prefix", "backup", "type"]);
            assert!(help.contains(told), "{table} {word}: {help}");
        }
    }

    #[test]
    fn the_translations_are_folded_so_that_they_can_be_found() {
        assert!(TRANSLATIONS.iter().all(|(word, _)| fold(word) == *word));
        assert!(
            WHERE_KEYS_BELONG
                .iter()
                .all(|(word, _)| !fold(word).is_empty())
        );
    }
}
