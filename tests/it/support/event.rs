//! The records that tests send: nested click events, and a share of bad ones.
//!
//! Every attempt carries an id of its own, in front and at the end, so that a foreign reader can
//! find it in any output and sees a torn record at once.

/// What becomes of a record under [`QUERY`] and [`SCHEMA`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Delivered as data.
    Good,
    /// Not JSON: fails in partitioning.
    NotJson,
    /// JSON without the partition keys: fails in partitioning.
    NoKeys,
    /// Delivered as data in JSON; does not fit the Parquet schema.
    Misfit,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::NotJson => "not-json",
            Self::NoKeys => "no-keys",
            Self::Misfit => "misfit",
        }
    }
}

/// The two partition keys of every good event.
pub const QUERY: &str = "{event_type: .event_type, region: .geo.region}";
/// Their place in the object key, as the oracle expects it.
pub const PREFIX: &str = "data/event_type=!{partitionKeyFromQuery:event_type}/\
                          region=!{partitionKeyFromQuery:region}/";
/// Error objects of all kinds.
pub const ERROR_PREFIX: &str = "errors/!{firehose:error-output-type}/";
/// Columns for Parquet: `value` is what a misfit does not fit.
pub const SCHEMA: &str = "id string, event_type string, ts timestamp, \
                          geo struct<region:string,lat:double>, tags array<string>, value bigint, \
                          pad string, end string";

const EVENT_TYPES: [&str; 4] = ["view", "click", "purchase", "a/../../b=c %é"];
const REGIONS: [&str; 3] = ["eu-central-1", "us-east-1", ".."];

/// Writes the record of attempt `id` to `out`, without a line feed, and says what it is. The pad has
/// up to `pad_max` bytes that do not compress well. `narrow`: all good ones are of one partition.
pub fn write_event(
    random: &mut fastrand::Rng,
    id: &str,
    pad_max: usize,
    narrow: bool,
    out: &mut Vec<u8>,
) -> Kind {
    let (event_types, regions) = if narrow {
        (1, 1)
    } else {
        (EVENT_TYPES.len(), REGIONS.len())
    };
    let event_type = EVENT_TYPES[random.usize(..event_types)];
    let region = REGIONS[random.usize(..regions)];
    let pad_len = random.usize(..=pad_max);
    let pad: String = std::iter::repeat_with(|| random.alphanumeric())
        .take(pad_len)
        .collect();
    let (kind, text) = match random.u32(..100) {
        0 => (
            Kind::NotJson,
            format!("{{\"id\":\"{id}\",\"pad\":\"{pad}\" and then no JSON \"end\":\"{id}\""),
        ),
        1 => (
            Kind::NoKeys,
            format!("{{\"id\":\"{id}\",\"pad\":\"{pad}\",\"end\":\"{id}\"}}"),
        ),
        dice => {
            let (kind, value) = match dice {
                2 => (Kind::Misfit, "\"not a number\"".to_owned()),
                _ => (Kind::Good, random.u32(..).to_string()),
            };
            let text = format!(
                "{{\"id\":\"{id}\",\"event_type\":\"{event_type}\",\"ts\":\"2026-11-22T07:00:00.123Z\",\
                 \"geo\":{{\"region\":\"{region}\",\"lat\":48.2}},\"tags\":[\"a\",\"b\"],\
                 \"value\":{value},\"pad\":\"{pad}\",\"end\":\"{id}\"}}"
            );
            (kind, text)
        }
    };
    out.extend_from_slice(text.as_bytes());
    kind
}
