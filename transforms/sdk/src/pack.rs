//! Records and outcomes as the contract's world `transform-packed` carries them: in a few long lists.

use crate::bindings::firehose::transform::packed::{Inputs, Outcomes, PartitionKey};
use crate::{Outcome, Output, Record};

/// In `counts`: the record failed.
const FAILED: u32 = u32::MAX;

/// The records of a call.
pub(crate) fn records(inputs: &Inputs) -> impl Iterator<Item = Record> {
    let mut start = 0;
    let ends = inputs.ends.iter().zip(&inputs.arrivals_ms);
    (0..).zip(ends).map(move |(index, (end, arrival_ms))| {
        let end = *end as usize;
        let data = inputs.data[start..end].to_vec();
        start = end;
        Record {
            data,
            arrival_ms: *arrival_ms,
            index,
        }
    })
}

/// Outcomes on their way back.
pub(crate) struct Packer(Outcomes);

impl Packer {
    /// None yet, with room for what comes of these records if they become a little larger.
    pub(crate) fn of(inputs: &Inputs) -> Self {
        let (bytes, records) = (inputs.data.len(), inputs.ends.len());
        Self(Outcomes {
            data: Vec::with_capacity(bytes + bytes / 4),
            ends: Vec::with_capacity(records),
            counts: Vec::with_capacity(records),
            failures: Vec::new(),
            partition_keys: Vec::new(),
        })
    }

    /// Adds the outcome of the next record.
    pub(crate) fn push(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Ok(output) => {
                self.push_output(output);
                1
            }
            Outcome::Many(outputs) => {
                let count = length(outputs.len());
                for output in outputs {
                    self.push_output(output);
                }
                count
            }
            Outcome::Dropped => 0,
            Outcome::Failed(message) => {
                self.0.failures.push(message);
                FAILED
            }
        };
        self.0.counts.push(count);
    }

    fn push_output(&mut self, output: Output) {
        let packed = &mut self.0;
        let number = length(packed.ends.len());
        let key = |(name, value)| PartitionKey {
            output: number,
            name,
            value,
        };
        packed
            .partition_keys
            .extend(output.partition_keys.into_iter().map(key));
        packed.data.extend_from_slice(&output.data);
        packed.ends.push(length(packed.data.len()));
    }

    pub(crate) fn finish(self) -> Outcomes {
        self.0
    }
}

/// Nothing in a module's memory has more than 32 bits.
fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_in_whole_with_their_arrival_and_place() {
        let inputs = Inputs {
            data: b"oneother".to_vec(),
            ends: vec![3, 3, 8],
            arrivals_ms: vec![7, 8, 9],
        };
        let records: Vec<Record> = records(&inputs).collect();
        let seen = |record: &Record| (record.data.clone(), record.arrival_ms, record.index);
        assert_eq!(
            records.iter().map(seen).collect::<Vec<_>>(),
            [
                (b"one".to_vec(), 7, 0),
                (Vec::new(), 8, 1),
                (b"other".to_vec(), 9, 2)
            ]
        );
    }

    #[test]
    fn outcomes_go_out_in_order_and_keys_know_their_output() {
        let inputs = Inputs {
            data: Vec::new(),
            ends: Vec::new(),
            arrivals_ms: Vec::new(),
        };
        let mut packer = Packer::of(&inputs);
        packer.push(Outcome::ok("a"));
        packer.push(Outcome::Dropped);
        packer.push(Outcome::many(["bc", "d"]).with_key("k", "v"));
        packer.push(Outcome::Failed("why".to_owned()));
        let sent = packer.finish();
        assert_eq!(sent.data, b"abcd");
        assert_eq!(sent.ends, [1, 3, 4]);
        assert_eq!(sent.counts, [1, 0, 2, FAILED]);
        assert_eq!(sent.failures, ["why"]);
        let keyed: Vec<u32> = sent.partition_keys.iter().map(|key| key.output).collect();
        assert_eq!(keyed, [1, 2]);
    }
}
