//! A record on its way in.

use crate::Origin;

/// A record that goes in. Its bytes are the transform's own: change them in place and hand them back
/// to save a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The bytes, as the producer sent them or the transform before this one made them.
    pub data: Vec<u8>,
    /// When it was accepted, in milliseconds since the Unix epoch.
    pub arrival_ms: i64,
    pub(crate) index: u32,
}

impl Record {
    /// A record for a test.
    pub fn new(data: impl Into<Vec<u8>>) -> Self {
        Self {
            data: data.into(),
            arrival_ms: 0,
            index: 0,
        }
    }

    /// Where it came from: stream, shard, sequence number, the producer's partition key. Asks the
    /// daemon, so a record whose origin nobody wants costs nothing. A native test gets an invented
    /// one.
    pub fn origin(&self) -> Origin {
        #[cfg(target_arch = "wasm32")]
        return crate::bindings::firehose::transform::host::origin_of(self.index);
        #[cfg(not(target_arch = "wasm32"))]
        Origin {
            delivery_stream: "test".to_owned(),
            shard: "journal".to_owned(),
            sequence_number: self.index.to_string(),
            sub_sequence_number: 0,
            partition_key: None,
        }
    }
}
