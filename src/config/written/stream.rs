//! One delivery stream's tables, all but parser, transforms, format and destination.

use std::path::Path;

use super::{
    GIB, MIB, TIB, buffering, catalog, destination, format, parse, source, transform, watermark,
};
use crate::config::diagnostic::{Diagnostic, SourceSpan};
use crate::config::spans::{SpanMap, StageField};
use crate::config::table::{FileContext, Table};
use crate::config::{
    BackupSettings, BufferingSettings, DestinationSettings, FormatSettings, KeyValues, OneMachine,
    PartitioningSettings, SourceSettings, StoreSettings, StreamSettings,
};

const DEFAULT_SPOOL_LIMIT: u64 = 16 * GIB;
/// Firehose's quota of active partitions.
const DEFAULT_PARTITION_LIMIT: u64 = 500;

/// Values of `[stream.X.partitioning]`.
const PARTITIONING: [(StageField, &str); 3] = [
    (StageField::Query, "query"),
    (StageField::EventTime, "event_time"),
    (StageField::TimeZone, "time_zone"),
];

fn spool_limit(table: &mut Table<'_>) -> u64 {
    let limit = table.size("spool_limit", 64 * MIB..=64 * TIB);
    limit.map_or(DEFAULT_SPOOL_LIMIT, |limit| limit.value)
}

/// A destination of a lane's own, and its place in the file.
type LaneStore = (StageField, SourceSpan, StoreSettings);

/// Has lanes go to destinations of their own, where these can stand beside the others.
fn take_lanes(
    destination: &mut DestinationSettings,
    lanes: Vec<LaneStore>,
    is_shared: bool,
    file: &FileContext<'_>,
) {
    for (field, place, store) in lanes {
        if let Some((message, help)) = misfit(&store, &destination.stores(), is_shared) {
            file.report(Diagnostic::fault(place, message).help(help));
            continue;
        }
        let own = match field {
            StageField::ErrorStore => &mut destination.errors,
            _ => &mut destination.backup,
        };
        *own = Some(store);
    }
}

/// Reads the stream. What cannot be had is made up.
pub(super) fn read(
    name: &str,
    mut table: Table<'_>,
    base: &Path,
    spans: &mut SpanMap,
) -> StreamSettings {
    let spool_limit = spool_limit(&mut table);
    let kinds = &table.file.registry.sources;
    let source = required(&mut table, "source", &source::example(kinds, ""))
        .and_then(|table| source::read(name, table, base));
    let deaggregate = table
        .word("deaggregate", &[("json", true), ("off", false)])
        .is_none_or(|found| found.value);
    let parser = table.table("parse").and_then(parse::read);
    let transforms = transform::read_all(name, &mut table, base, spans);
    let partitioning = partitioning(name, &mut table, spans);
    let mut buffering = table.table("buffering");
    let watermark = watermark::read(buffering.as_mut());
    let buffering = buffering.map_or(buffering::DEFAULT, |table| {
        buffering::read(table, buffering::DEFAULT, spool_limit)
    });
    let format = table.table("format");
    let format = format.map(|table| format::read(name, table, base, spans));
    if format.is_none() && table.has("format") {
        // A value that is no table is reported already.
        spans.keep_unread(name, StageField::Schema);
    }
    let destination_place = table.place_of("destination");
    let types = destination::choices(table.file.registry, "");
    let destination = required(&mut table, "destination", &format!("type = {types}"));
    let mut destination = match destination {
        Some(table) => destination::read(name, table, base, watermark.is_written(), spans),
        None => destination::missing(name, spans),
    };
    let prefix = destination.prefix.as_deref();
    watermark.check(name, &partitioning, prefix, spans, table.file);
    let mut lanes = Vec::new();
    if let Some(mut errors) = table.table("errors") {
        if !errors.has("destination") {
            let help =
                "write [stream.NAME.errors.destination]; without it errors go where data goes";
            errors.missing("destination", &help.replace("NAME", name));
        }
        let field = StageField::ErrorStore;
        let store = destination::of_lane(name, &mut errors, base, field, spans);
        lanes.extend(store.map(|(place, store)| (field, place, store)));
        errors.finish();
    }
    let backup = table.table("backup").map(|mut table| {
        let field = StageField::BackupStore;
        let store = destination::of_lane(name, &mut table, base, field, spans);
        lanes.extend(store.map(|(place, store)| (field, place, store)));
        backup(name, table, base, buffering, spans)
    });
    let is_shared = source.as_ref().is_some_and(SourceSettings::is_shared);
    lanes.retain(|(field, ..)| !spans.is_unread(name, *field));
    take_lanes(&mut destination, lanes, is_shared, table.file);
    let is_store_read = !spans.is_unread(name, StageField::Store);
    let store = is_store_read.then_some(&destination.store);
    let catalog = catalog::read(name, &mut table, base, spans, store);
    let table_file = table.file;
    table.finish();
    if is_shared
        && is_store_read
        && let Some(OneMachine { message, help }) = destination.store.of_one_machine()
    {
        let fault = Diagnostic::fault(destination_place, message).help(help);
        table_file.report(fault);
    }
    let (format, only_json) =
        format.unwrap_or_else(|| ((table_file.registry.stream_format)(), false));
    StreamSettings {
        name: name.to_owned(),
        source: source.unwrap_or_else(|| source::made_up(kinds)),
        parser,
        transforms,
        deaggregate,
        partitioning,
        buffering,
        watermark: watermark.lateness,
        format,
        only_json,
        destination,
        backup,
        catalog,
        spool_limit,
    }
}

/// What is wrong with a lane's own store beside those of the lanes before it: the fault, and what to do.
fn misfit(
    store: &StoreSettings,
    others: &[&StoreSettings],
    is_shared: bool,
) -> Option<(String, &'static str)> {
    let is_other = |other: &&&StoreSettings| other.name() == store.name() && **other != store;
    if others.iter().any(|other| is_other(&other)) {
        let message = format!(
            "{} is a destination of this stream already, with other settings",
            store.name()
        );
        return Some((message, "write the same settings in both tables"));
    }
    (is_shared && others.iter().all(|other| *other != store)).then(|| {
        let message = "a stream with `coordination` has one destination: what its checkpoints list is \
                       prepared where they are kept";
        let help = "remove this table, or `coordination` from the source";
        (message.to_owned(), help)
    })
}

/// Opens a table that must be there.
fn required<'f>(table: &mut Table<'f>, key: &'static str, example: &str) -> Option<Table<'f>> {
    if !table.has(key) {
        let header = table.here().replace("in [", "").replace(']', "");
        table.missing(key, &format!("write [{header}.{key}] with {example}"));
    }
    table.table(key)
}

fn partitioning(stream: &str, of: &mut Table<'_>, spans: &mut SpanMap) -> PartitioningSettings {
    let Some(mut table) = of.table("partitioning") else {
        if of.has("partitioning") {
            for (field, _) in PARTITIONING {
                spans.keep_unread(stream, field);
            }
        }
        return PartitioningSettings::default();
    };
    let [query, event_time, time_zone] =
        PARTITIONING.map(|(field, key)| spans.keep(stream, field, &mut table, key));
    let key_values = table
        .word(
            "key_values",
            &[("escaped", KeyValues::Escaped), ("as-is", KeyValues::AsIs)],
        )
        .map_or(KeyValues::Escaped, |found| found.value);
    let on_limit = table.word("on_partition_limit", &[("error", ())]);
    let most = table.integer("max_open_partitions", 1..=10_000_000);
    if let (None, Some(most)) = (&on_limit, &most)
        && !table.has("on_partition_limit")
    {
        let message = "`max_open_partitions` does nothing without `on_partition_limit`";
        let help = "add on_partition_limit = \"error\" to send records of further partitions to \
                    the error prefix; without it there is no limit";
        let place = table.file.place(most.at.clone());
        table
            .file
            .report(Diagnostic::fault(place, message).help(help));
    }
    table.finish();
    let partition_limit = on_limit.map(|_| most.map_or(DEFAULT_PARTITION_LIMIT, |most| most.value));
    PartitioningSettings {
        query,
        event_time,
        time_zone,
        key_values,
        partition_limit,
    }
}

fn backup(
    stream: &str,
    mut table: Table<'_>,
    base: &Path,
    of_stream: BufferingSettings,
    spans: &mut SpanMap,
) -> BackupSettings {
    let prefix = spans.keep(stream, StageField::BackupPrefix, &mut table, "prefix");
    let default = table.file.registry.backup_format;
    let format = match table.table("format") {
        Some(format) => format::of_backup(stream, format, base, spans),
        None => Some(default()),
    };
    let buffering = table.table("buffering").map_or(of_stream, |table| {
        buffering::read(table, of_stream, u64::MAX)
    });
    table.finish();
    BackupSettings {
        prefix,
        format: format.unwrap_or_else(FormatSettings::unread),
        buffering,
    }
}
