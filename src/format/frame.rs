//! Frames of a raw block of `Shape::Runs` and `Shape::Whole`: a record with what a failure needs to name it.
//!
//! Layout, little-endian: length of the data u32, arrival i64 (ms), sequence number u64, sub-sequence
//! u32, data. The length's highest bit says that the number of the transforms' output, u32, stands
//! before the data, the next one that the sequence number has 192 bits, the one below that the number
//! of the record's text, u32, comes last before the data. Integrity is the spool's matter (every
//! extent has a checksum).

use std::io;

use crate::position::{Position, Sequence, SequenceNumber};
use crate::record::Record;

/// The longest there is, without the data.
const HEADER_MAX: usize = 4 + 8 + 24 + 4 + 4 + 4;
/// In the length: an output's number follows the header.
const IS_OUTPUT: u32 = 1 << 31;
/// In the length: the sequence number is a wide one.
const IS_WIDE: u32 = 1 << 30;
/// In the length: a text's number follows the header and the output's.
const IS_TEXT: u32 = 1 << 29;
const LENGTH: u32 = IS_TEXT - 1;

/// Appends a record.
pub(super) fn append(record: &Record<'_>, out: &mut Vec<u8>) {
    let length = u32::try_from(record.data.len()).ok();
    let length = length.filter(|length| *length <= LENGTH);
    let length = length.expect("a record is far below 512 MiB");
    out.reserve(HEADER_MAX + record.data.len());
    let narrow = record.position.sequence.narrow();
    let is_output = record.output.map_or(0, |_| IS_OUTPUT);
    let is_text = record.text.map_or(0, |_| IS_TEXT);
    let is_wide = narrow.map_or(IS_WIDE, |_| 0);
    out.extend_from_slice(&(length | is_output | is_text | is_wide).to_le_bytes());
    out.extend_from_slice(&record.arrival_ms.to_le_bytes());
    match narrow {
        Some(Sequence(number)) => out.extend_from_slice(&number.to_le_bytes()),
        None => out.extend_from_slice(&record.position.sequence.to_le_bytes()),
    }
    out.extend_from_slice(&record.position.sub_sequence.to_le_bytes());
    for number in [record.output, record.text].into_iter().flatten() {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(record.data);
}

/// The records of a raw block, in order. Yields `InvalidData` once where the block is torn.
pub(super) fn records(block: &[u8]) -> BlockRecords<'_> {
    BlockRecords { rest: block }
}

/// Iterator over the records of a raw block.
#[derive(Debug)]
pub(super) struct BlockRecords<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for BlockRecords<'a> {
    type Item = io::Result<Record<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let split = split(self.rest);
        self.rest = split.map_or(&[], |(_, rest)| rest);
        Some(split.map(|(record, _)| record).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "a raw block ends inside a record",
            )
        }))
    }
}

fn split(block: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let (length, rest) = block.split_first_chunk::<4>()?;
    let (arrival, rest) = rest.split_first_chunk::<8>()?;
    let length = u32::from_le_bytes(*length);
    let (sequence, rest) = if length & IS_WIDE == 0 {
        let (number, rest) = rest.split_first_chunk::<8>()?;
        (Sequence(u64::from_le_bytes(*number)).into(), rest)
    } else {
        let (number, rest) = rest.split_first_chunk::<24>()?;
        (SequenceNumber::from_le_bytes(*number), rest)
    };
    let (sub_sequence, rest) = rest.split_first_chunk::<4>()?;
    let (output, rest) = number_if(length & IS_OUTPUT != 0, rest)?;
    let (text, rest) = number_if(length & IS_TEXT != 0, rest)?;
    let (data, rest) = rest.split_at_checked((length & LENGTH) as usize)?;
    let position = Position {
        sequence,
        sub_sequence: u32::from_le_bytes(*sub_sequence),
    };
    Some((
        Record {
            output,
            text,
            ..Record::new(data, i64::from_le_bytes(*arrival), position)
        },
        rest,
    ))
}

/// A number, if there is one.
fn number_if(there: bool, block: &[u8]) -> Option<(Option<u32>, &[u8])> {
    if !there {
        return Some((None, block));
    }
    let (number, rest) = block.split_first_chunk::<4>()?;
    Some((Some(u32::from_le_bytes(*number)), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{append, records};
    use crate::position::{Position, Sequence, SequenceNumber};
    use crate::record::Record;

    fn sequences() -> impl Strategy<Value = SequenceNumber> {
        let narrow = any::<u64>().prop_map(|number| Sequence(number).into());
        let wide = any::<[u8; 24]>().prop_map(SequenceNumber::from_le_bytes);
        prop_oneof![narrow, wide]
    }

    proptest! {
        #[test]
        fn a_block_gives_its_records_back_and_a_torn_one_says_so(
            written in proptest::collection::vec(
                (proptest::collection::vec(any::<u8>(), 0..40), any::<i64>(), sequences(), any::<u32>(), any::<[Option<u32>; 2]>()),
                1..8,
            ),
            cut in 1_usize..24,
        ) {
            let written: Vec<_> = written
                .iter()
                .map(|(data, arrival_ms, sequence, sub_sequence, [output, text])| Record {
                    output: *output,
                    text: *text,
                    ..Record::new(
                        data,
                        *arrival_ms,
                        Position { sequence: *sequence, sub_sequence: *sub_sequence },
                    )
                })
                .collect();
            let mut block = Vec::new();
            for record in &written {
                append(record, &mut block);
            }
            let read: Vec<_> = records(&block).map(Result::unwrap).collect();
            prop_assert_eq!(&read, &written);

            let torn: Vec<_> = records(&block[..block.len() - cut]).collect();
            prop_assert!(torn.last().unwrap().is_err());
            prop_assert_eq!(torn.iter().filter(|record| record.is_err()).count(), 1);
        }
    }
}
