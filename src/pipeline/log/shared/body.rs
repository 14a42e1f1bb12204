//! The body of a shared checkpoint: what a lease item is too small for. An object at the destination,
//! written under a random name before the item names it, with its checksum (JSON: unknown members are
//! ignored, new ones have defaults).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::KnownShard;
use crate::checkpoint::{SealedObject, UntoldPlace};
use crate::coordination::BodyName;
use crate::destination::SentPart;
use crate::error::StreamError;
use crate::position::Position;
use crate::protocol::Durable;
use crate::schema::SchemaPin;
use crate::shard::{ShardState, SourceName};

/// The layout that this version writes. One with a greater number is refused.
const VERSION: u32 = 1;

/// What a shared checkpoint says of one shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    version: u32,
    /// The shard.
    pub shard: String,
    /// The stream that it is a shard of, once it is known.
    #[serde(default)]
    pub source: Option<SourceName>,
    /// How far it has been applied: all records up to there are in objects that were listed.
    pub state: ShardState,
    /// The time of the newest event up to there, where partitions end by events: second since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_event: Option<i64>,
    /// The newest version of the columns that its objects may have, where daemons agree on these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<SchemaPin>,
    /// Objects that may not be visible yet.
    #[serde(default)]
    pub listed: Vec<Listed>,
    /// Places of published objects that the stream's catalog has not been told of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untold: Vec<UntoldPlace>,
}

/// An object of which all bytes are at the destination, in an upload that is to be completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The object. Its bytes are nowhere else any more.
    #[serde(flatten)]
    pub object: SealedObject,
    /// The parts of its upload.
    pub parts: Vec<SentPart>,
    /// Where its records stand.
    pub range: Range,
}

impl Listed {
    /// The objects of a list.
    pub fn objects(list: &[Self]) -> impl Iterator<Item = SealedObject> {
        list.iter().map(|listed| listed.object.clone())
    }
}

/// The records that a checkpoint has sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The last record before them; `None`: they begin with the shard.
    pub after: Option<Position>,
    /// The last of them.
    pub up_to: Option<Position>,
}

/// A shared checkpoint that is durable.
#[derive(Debug)]
pub(in crate::pipeline) struct SharedCheckpoint {
    /// Its body, if it has one.
    pub(super) name: Option<BodyName>,
    /// What it says of the shard.
    pub(super) known: Box<KnownShard>,
    /// What it has added to the list.
    pub(super) listed: Vec<Listed>,
    /// What it allows.
    pub(super) durable: Durable,
}

impl Body {
    /// What a checkpoint says.
    pub(super) fn new(shard: &str, known: KnownShard, listed: Vec<Listed>) -> Self {
        Self {
            version: VERSION,
            shard: shard.to_owned(),
            source: known.source,
            state: known.state,
            newest_event: known.newest_event,
            schema: None,
            listed,
            untold: known.untold,
        }
    }

    /// How much waits: the shard is not done before it does not.
    pub const fn waiting(&self) -> usize {
        self.listed.len() + self.untold.len()
    }

    /// Its durable form.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a body is plain data")
    }

    /// Reads the durable form, which must be of `shard` and have this checksum.
    pub fn read(bytes: &[u8], crc64: u64, shard: &str, key: &str) -> Result<Self, StreamError> {
        let damaged = |cause: String| StreamError::LoudStop {
            cause: format!("{key} is not the body that the lease of {shard} names: {cause}"),
            advice: "find out who has written it, and put the body back".into(),
        };
        let found = crc_fast::crc64_nvme(bytes);
        if found != crc64 {
            return Err(damaged(format!("its CRC-64 is {found}, not {crc64}")));
        }
        let version = serde_json::from_slice::<Version>(bytes);
        if let Ok(Version { version }) = version
            && version > VERSION
        {
            return Err(StreamError::LoudStop {
                cause: format!("{key} has layout {version}, this version knows {VERSION}"),
                advice: "run the version of the daemon that wrote it, or a later one".into(),
            });
        }
        let body: Self =
            serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        if body.shard != shard {
            return Err(damaged(format!("it is of {}", body.shard)));
        }
        Ok(body)
    }
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl fmt::Display for Range {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |position: Option<Position>| match position {
            None => "the shard's beginning".to_owned(),
            Some(at) => format!("{}/{}", at.sequence, at.sub_sequence),
        };
        write!(
            formatter,
            "after {} up to {}",
            name(self.after),
            name(self.up_to)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_read_back_only_as_it_was_written() {
        let shard = "shardId-000000000000";
        let place = UntoldPlace {
            url: "s3://lake/data/k=1/".to_owned(),
            since_ms: 5,
        };
        let known = KnownShard {
            newest_event: Some(7),
            untold: vec![place],
            ..KnownShard::default()
        };
        let body = Body::new(shard, known, Vec::new());
        assert_eq!((body.newest_event, body.waiting()), (Some(7), 1));
        let bytes = body.to_bytes();
        let crc64 = crc_fast::crc64_nvme(&bytes);
        assert_eq!(Body::read(&bytes, crc64, shard, "k").unwrap(), body);
        let told = |bytes: &[u8], crc64, shard: &str| {
            let error = Body::read(bytes, crc64, shard, "k").unwrap_err();
            assert!(matches!(error, StreamError::LoudStop { .. }));
            error.to_string()
        };
        assert!(told(&bytes, crc64 ^ 1, shard).contains("CRC-64"));
        assert!(told(&bytes, crc64, "another").contains("it is of shardId-000000000000"));
        let newer = br#"{"version":2,"whatever":1}"#;
        let told = told(newer, crc_fast::crc64_nvme(newer), shard);
        assert!(told.contains("layout 2"), "{told}");
    }

    #[test]
    fn what_a_later_version_adds_is_passed_over() {
        // And what an earlier one did not have is not there.
        let text = br#"{"version":1,"shard":"s","state":{},"more":1}"#;
        let body = Body::read(text, crc_fast::crc64_nvme(text), "s", "k").unwrap();
        assert_eq!(body, Body::new("s", KnownShard::default(), Vec::new()));
    }
}
