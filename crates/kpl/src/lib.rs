//! Records of the Kinesis Producer Library: one Kinesis record that holds many.
//!
//! Magic `F3 89 9A C2`, a protobuf message, its MD5. The message:
//!
//! ```text
//! AggregatedRecord { repeated string partition_key_table = 1; repeated string explicit_hash_key_table = 2;
//!                    repeated Record records = 3; }
//! Record { required uint64 partition_key_index = 1; optional uint64 explicit_hash_key_index = 2;
//!          required bytes data = 3; repeated Tag tags = 4; }
//! ```
//!
//! The bytes are a producer's: nothing in them is believed before it is checked, and nothing is
//! allocated but four bytes for each key.

use md5::{Digest as _, Md5};

const MAGIC: &[u8] = &[0xF3, 0x89, 0x9A, 0xC2];
const MD5_BYTES: usize = 16;

/// What a Kinesis record is.
#[derive(Debug)]
pub enum Content<'a> {
    /// A producer's record.
    Ordinary,
    /// It begins like an aggregate but is not a valid one: as far as we know, a producer's own record.
    Broken,
    /// Many records.
    Aggregate(Aggregate<'a>),
}

/// A sound aggregate of at least one record.
#[derive(Debug)]
pub struct Aggregate<'a> {
    message: &'a [u8],
    /// Where the keys stand in the message.
    keys: Vec<u32>,
    hash_keys: Vec<u32>,
}

/// One record of an aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubRecord<'a> {
    /// The producer's partition key.
    pub partition_key: Key<'a>,
    /// The hash key that the producer chose instead of that of the partition key, a decimal.
    pub hash_key: Option<Key<'a>>,
    /// The record's bytes.
    pub data: &'a [u8],
}

/// A key of one of an aggregate's two tables. Any number of records may name one, and it may be as long as the
/// aggregate: who works on its text does so once for each index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<'a> {
    /// Its place in its table, below half the bytes of the aggregate.
    pub index: usize,
    /// What stands there: UTF-8, unless the producer has written something else.
    pub text: &'a [u8],
}

/// Parses a Kinesis record.
pub fn parse(data: &[u8]) -> Content<'_> {
    let Some(rest) = data.strip_prefix(MAGIC) else {
        return Content::Ordinary;
    };
    match sound(rest) {
        Some(aggregate) => Content::Aggregate(aggregate),
        None => Content::Broken,
    }
}

fn sound(rest: &[u8]) -> Option<Aggregate<'_>> {
    let message_len = rest.len().checked_sub(MD5_BYTES)?;
    let (message, digest) = rest.split_at(message_len);
    if message.is_empty() || Md5::digest(message)[..] != *digest {
        return None;
    }
    let mut aggregate = Aggregate {
        message,
        keys: Vec::new(),
        hash_keys: Vec::new(),
    };
    let (mut records, mut largest, mut largest_hash) = (0_u64, None, None);
    let mut fields = WireFields(message);
    while !fields.0.is_empty() {
        let start = u32::try_from(message.len() - fields.0.len()).ok()?;
        match fields.next()? {
            (1, FieldValue::Bytes(_)) => aggregate.keys.push(start),
            (2, FieldValue::Bytes(_)) => aggregate.hash_keys.push(start),
            (3, FieldValue::Bytes(record)) => {
                let indexes = Indexed::read(record)?;
                records += 1;
                largest = largest.max(Some(indexes.key));
                largest_hash = largest_hash.max(indexes.hash_key);
            }
            (1..=3, _) => return None,
            _ => {}
        }
    }
    let within = |index: Option<u64>, keys: &[u32]| index.is_none_or(|at| at < keys.len() as u64);
    let is_sound = records > 0
        && within(largest, &aggregate.keys)
        && within(largest_hash, &aggregate.hash_keys);
    is_sound.then_some(aggregate)
}

impl<'a> Aggregate<'a> {
    /// The records in order: the index of each is its sub-sequence number.
    pub fn records(&self) -> impl Iterator<Item = SubRecord<'a>> {
        let mut fields = WireFields(self.message);
        std::iter::from_fn(move || {
            loop {
                // All of it has been read once.
                if let (3, FieldValue::Bytes(record)) = fields.next()? {
                    let Indexed {
                        key,
                        hash_key,
                        data,
                    } = Indexed::read(record)?;
                    return Some(SubRecord {
                        partition_key: self.key(&self.keys, key)?,
                        hash_key: hash_key.and_then(|index| self.key(&self.hash_keys, index)),
                        data,
                    });
                }
            }
        })
    }

    fn key(&self, table: &[u32], index: u64) -> Option<Key<'a>> {
        let index = usize::try_from(index).ok()?;
        let start = *table.get(index)?;
        match WireFields(self.message.get(start as usize..)?).next()? {
            (_, FieldValue::Bytes(text)) => Some(Key { index, text }),
            _ => None,
        }
    }
}

/// A record's data, and which keys of the tables are its.
struct Indexed<'a> {
    key: u64,
    hash_key: Option<u64>,
    data: &'a [u8],
}

impl<'a> Indexed<'a> {
    fn read(record: &'a [u8]) -> Option<Self> {
        let (mut key, mut hash_key, mut data) = (None, None, None);
        let mut fields = WireFields(record);
        while !fields.0.is_empty() {
            match fields.next()? {
                (1, FieldValue::Number(index)) => key = Some(index),
                (2, FieldValue::Number(index)) => hash_key = Some(index),
                (3, FieldValue::Bytes(bytes)) => data = Some(bytes),
                (1..=3, _) => return None,
                _ => {}
            }
        }
        Some(Self {
            key: key?,
            hash_key,
            data: data?,
        })
    }
}

/// The fields of a protobuf message.
struct WireFields<'a>(&'a [u8]);

enum FieldValue<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a fixed width: no field of ours.
    Fixed,
}

impl<'a> WireFields<'a> {
    /// The next field; `None`: there is none, or what is there is no field.
    fn next(&mut self) -> Option<(u64, FieldValue<'a>)> {
        let tag = self.number()?;
        let value = match tag & 7 {
            0 => FieldValue::Number(self.number()?),
            1 => self.bytes(8).map(|_| FieldValue::Fixed)?,
            2 => {
                let len = usize::try_from(self.number()?).ok()?;
                FieldValue::Bytes(self.bytes(len)?)
            }
            5 => self.bytes(4).map(|_| FieldValue::Fixed)?,
            _ => return None,
        };
        (tag >> 3 > 0).then_some((tag >> 3, value))
    }

    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    /// A varint: at most ten bytes, at most 64 bits.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7F);
            if bits.checked_shl(shift)? >> shift != bits {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
