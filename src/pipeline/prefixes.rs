//! A stream's prefixes, compiled for the destination that their keys are for.

use std::sync::Arc;

use uuid::Uuid;

use crate::config::{FormatSettings, Keys, StoreSettings, StreamSettings};
use crate::format::Format;
use crate::partition::{
    ErrorPrefix, KeyRule, PartitionFault, PartitionSetting, Partitioner, Plan, UnreadSettings,
    Zone, object_name,
};

/// The version in object names. Streams are versioned by their config file, not by us.
pub(super) const STREAM_VERSION: u32 = 1;
/// As long as the name of any shard of Kinesis.
const SHARD_CHARS_MAX: usize = 128;

/// The compiled prefixes.
pub(super) struct Prefixes {
    pub(super) data: Partitioner,
    pub(super) errors: ErrorPrefix,
    pub(super) backup: Option<Partitioner>,
}

/// What of a stream's settings is made up, because the config has it with faults that are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MadeUp {
    /// `query`, `event_time`, `prefix` and `late_prefix`.
    pub values: UnreadSettings,
    /// `error_prefix`.
    pub error_prefix: bool,
    /// The store of a lane.
    pub store: bool,
    /// Some or all transforms.
    pub transforms: bool,
}

/// All that is wrong with a stream's query, event time and prefixes.
pub fn prefix_faults(stream: &StreamSettings, made_up: MadeUp) -> Vec<PartitionFault> {
    compile(stream, made_up).err().unwrap_or_default()
}

/// Compiles them, or says all that is wrong.
pub(super) fn compile(
    stream: &StreamSettings,
    made_up: MadeUp,
) -> Result<Prefixes, Vec<PartitionFault>> {
    let destination = &stream.destination;
    let keys = |store: &StoreSettings| (!made_up.store).then(|| store.keys());
    let (keys, error_keys, backup_keys) = (
        keys(&destination.store),
        keys(destination.error_store()),
        keys(destination.backup_store()),
    );
    let (prefix, error_prefix) = (
        stream.destination.prefix.as_deref(),
        stream.destination.error_prefix.as_deref(),
    );
    let time_zone = stream.partitioning.time_zone.as_deref();
    let rule = |keys: &Option<Arc<dyn Keys>>, format| rule(keys.as_ref(), &stream.name, format);
    let data = Partitioner::compile(&Plan {
        settings: &stream.partitioning,
        has_transforms: !stream.transforms.is_empty() || made_up.transforms,
        prefix,
        has_watermark: stream.watermark.is_some(),
        late_prefix: destination.late_prefix.as_deref(),
        rule: &rule(&keys, Some(&stream.format)),
        unread: made_up.values,
    });
    let is_default_unknown = error_prefix.is_none() && made_up.values.prefix;
    let errors = if made_up.error_prefix || is_default_unknown {
        Err(Vec::new())
    } else {
        ErrorPrefix::compile(error_prefix, prefix, time_zone, &rule(&error_keys, None))
            // A default that begins with a bad prefix is at fault only with that, which is reported already.
            .and_then(|errors| match error_prefix {
                None if data.is_err() => Ok(errors),
                // Each store must take the keys of markers: nothing is published where the epoch cannot be claimed.
                _ => [&keys, &error_keys, &backup_keys]
                    .into_iter()
                    .try_fold(errors, |errors, keys| {
                        markers(stream, errors, keys.as_ref())
                    }),
            })
    };
    let backup = stream.backup.as_ref().map(|backup| {
        let rule = rule(&backup_keys, Some(&backup.format));
        Partitioner::compile_backup(backup.prefix.as_deref(), time_zone, &rule)
    });
    match (data, errors, backup.transpose()) {
        (Ok(data), Ok(errors), Ok(backup)) => Ok(Prefixes {
            data,
            errors,
            backup,
        }),
        (data, errors, backup) => {
            let found = [data.err(), errors.err(), backup.err()];
            Err(found.into_iter().flatten().flatten().collect())
        }
    }
}

/// What the destination says to keys of objects of a format; errors have none.
fn rule(keys: Option<&Arc<dyn Keys>>, stream: &str, format: Option<&FormatSettings>) -> KeyRule {
    let Some(keys) = keys.cloned() else {
        return KeyRule::unknown();
    };
    let format = format.and_then(|settings| Format::compile(settings).ok());
    let extension = format.as_ref().map_or("", |format| format.extension());
    let (id, utc) = (Uuid::nil(), Zone::utc());
    let name = object_name(stream, STREAM_VERSION, 0, id, extension, &utc);
    KeyRule::new(&name, keys.short(), move |key| keys.take(key))
}

/// The stream's own markers stand under the head of its error prefix.
fn markers(
    stream: &StreamSettings,
    errors: ErrorPrefix,
    keys: Option<&Arc<dyn Keys>>,
) -> Result<ErrorPrefix, Vec<PartitionFault>> {
    let (head, id) = (errors.literal_head(), Uuid::nil());
    let marker = match stream.source.coordination() {
        None => format!("{head}.firehose/{id}/{}", u32::MAX),
        Some(shared) => {
            let shard = "x".repeat(SHARD_CHARS_MAX);
            format!("{head}.firehose/{}/{shard}/{id}", shared.table)
        }
    };
    let taken = keys.map_or(Ok(()), |keys| keys.take(&marker));
    taken.map(|()| errors).map_err(|why| {
        vec![PartitionFault {
            field: PartitionSetting::ErrorPrefix,
            at: None,
            message: format!(
                "the destination cannot take what the stream itself keeps under the fixed head of the \
                 error prefix: {why}"
            ),
            help: Some("shorten the head".to_owned()),
            is_transient: false,
        }]
    })
}

#[cfg(test)]
mod tests;
