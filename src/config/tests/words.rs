//! What is said to a wrong key, by the reader and by what stands behind the ports.

use super::registry;
use crate::config::words::key_help;

fn help_for(table: &str, word: &str, allowed: &[&str]) -> String {
    key_help(table, word, allowed, &registry())
}

#[test]
fn a_key_of_another_table_is_answered_with_its_table() {
    let help = help_for("stream.c", "error_prefix", &["source", "destination"]);
    assert_eq!(help, "`error_prefix` belongs in [stream.NAME.destination]");
    for (word, table) in [
        ("bucket", "destination"),
        ("block_size", "format"),
        ("timestamp_unit", "format"),
        ("extract", "parse"),
        ("journal_limit", "source"),
        ("create", "catalog"),
    ] {
        let help = help_for("stream.c.buffering", word, &["size", "interval"]);
        let belongs = format!("`{word}` belongs in [stream.NAME.{table}]");
        assert_eq!(help, belongs, "what a kind says of its own keys");
    }
}

#[test]
fn words_of_firehose_are_translated() {
    let help = help_for("stream.c.buffering", "SizeInMBs", &["size", "interval"]);
    assert!(help.contains("`size` in [stream.NAME.buffering]"), "{help}");
    assert!(
        help_for("stream.c.destination", "backup_prefix", &["prefix"]).contains("`error_prefix`")
    );
    assert!(
        help_for("stream.c.destination", "Prefix", &["prefix"]).contains("did you mean `prefix`")
    );
    for (word, told) in [
        (
            "bucket_arn",
            "Firehose's BucketARN is `bucket` in [stream.NAME.destination], the name alone",
        ),
        (
            "BlockSizeBytes",
            "Firehose's BlockSizeBytes is `block_size` in [stream.NAME.format], such as \"64MiB\"",
        ),
        (
            "decompression",
            "Firehose's Decompression is [stream.NAME.parse] with `type = \"cloudwatch-logs\"`",
        ),
    ] {
        let help = help_for("stream.c.buffering", word, &["size", "interval"]);
        assert_eq!(help, told, "what a kind says of Firehose's words");
    }
}

#[test]
fn a_table_is_named_where_the_config_has_it() {
    let format = ["type", "schema", "glue_table"];
    let catalog = ["type", "table", "catalog_id", "region"];
    for (table, word, allowed, told) in [
        ("format", "DatabaseName", &format[..], "`glue_table` in"),
        ("format", "table_name", &format, "`glue_table` in"),
        ("format", "VersionId", &format, "`glue_version` in"),
        ("format", "Region", &format, "`glue_region` in"),
        (
            "catalog",
            "database_name",
            &catalog,
            "`table` in [stream.NAME.catalog]",
        ),
        (
            "catalog",
            "TableName",
            &catalog,
            "`table` in [stream.NAME.catalog]",
        ),
        (
            "catalog",
            "CatalogId",
            &catalog,
            "did you mean `catalog_id`",
        ),
        ("catalog", "version_id", &catalog, "allowed: `catalog_id`"),
        ("destination", "Region", &catalog, "did you mean `region`"),
        (
            "destination",
            "table_name",
            &["table_names"],
            "did you mean `table_names`",
        ),
    ] {
        let help = help_for(&format!("stream.c.{table}"), word, allowed);
        assert!(help.contains(told), "{table} {word}: {help}");
    }
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
        let help = help_for(table, word, &["prefix", "error_prefix", "backup", "type"]);
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
        let help = help_for(table, word, &["prefix", "error_prefix", "backup", "type"]);
        assert!(help.contains(told), "{table} {word}: {help}");
    }
}
