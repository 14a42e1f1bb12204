//! The packed form of a call: records in a few long lists, there and back.

use std::iter::Peekable;
use std::vec::IntoIter;

use bytes::Bytes;

use super::abi::{Inputs, Outcome, Outcomes, Output, PartitionKey};
use super::fault::{Broken, Cause};
use crate::record::Record;

/// In `counts`: the record failed.
const FAILED: u32 = u32::MAX;

/// The records of a call; its memory is used again by the next.
#[derive(Default)]
pub(super) struct Packer {
    data: Vec<u8>,
    ends: Vec<u32>,
    arrivals_ms: Vec<i64>,
}

impl Packer {
    /// Packs the records of one call, less than 4 GiB.
    pub(super) fn pack(&mut self, records: &[Record<'_>]) -> Inputs<'_> {
        self.data.clear();
        self.ends.clear();
        self.arrivals_ms.clear();
        for record in records {
            self.data.extend_from_slice(record.data);
            self.ends
                .push(u32::try_from(self.data.len()).unwrap_or(u32::MAX));
            self.arrivals_ms.push(record.arrival_ms);
        }
        Inputs {
            data: &self.data,
            ends: &self.ends,
            arrivals_ms: &self.arrivals_ms,
        }
    }
}

/// One outcome for each of `records` records. What does not add up is an error, and so are more outputs
/// than `limit` bytes hold with what the host keeps about each.
pub(super) fn unpack(
    outcomes: Outcomes,
    records: usize,
    limit: usize,
) -> Result<Vec<Outcome>, Broken> {
    let Outcomes {
        data,
        ends,
        counts,
        failures,
        keys,
    } = outcomes;
    if counts.len() != records {
        return Err(Broken::wrong_count(counts.len(), records));
    }
    if ends.len().saturating_mul(size_of::<Output>()) > limit.saturating_sub(data.len()) {
        return Err(Broken::over_output());
    }
    let mut failures = failures.into_iter();
    let mut outputs = PackedOutputs {
        data,
        start: 0,
        number: 0,
        ends: ends.into_iter(),
        keys: keys.into_iter().peekable(),
    };
    let unpack = |count| {
        Ok(match count {
            0 => Outcome::Dropped,
            1 => Outcome::Ok(outputs.next()?),
            FAILED => {
                let message = failures.next();
                Outcome::Failed(message.ok_or_else(|| bad("a failed record has no message"))?)
            }
            many => Outcome::Many(
                (0..many)
                    .map(|_| outputs.next())
                    .collect::<Result<_, _>>()?,
            ),
        })
    };
    let unpacked = counts.into_iter().map(unpack).collect::<Result<_, _>>()?;
    if failures.next().is_some() {
        return Err(bad("there are more messages than failed records"));
    }
    outputs.end()?;
    Ok(unpacked)
}

/// What comes out, record by record.
struct PackedOutputs {
    data: Bytes,
    /// Where the next one begins in the data.
    start: usize,
    /// How many came before it.
    number: u32,
    ends: IntoIter<u32>,
    keys: Peekable<IntoIter<PartitionKey>>,
}

impl PackedOutputs {
    fn next(&mut self) -> Result<Output, Broken> {
        let Some(end) = self.ends.next() else {
            return Err(bad("`counts` has more outputs than `ends`"));
        };
        let end = end as usize;
        if end < self.start || end > self.data.len() {
            return Err(bad("`ends` goes back, or beyond the data"));
        }
        let data = self.data.slice(self.start..end);
        let mut keys = Vec::new();
        while let Some(key) = self.keys.next_if(|key| key.output == self.number) {
            keys.push((key.name, key.value));
        }
        self.start = end;
        self.number += 1;
        Ok(Output { data, keys })
    }

    /// Nothing is left.
    fn end(mut self) -> Result<(), Broken> {
        if self.ends.next().is_some() {
            return Err(bad("`ends` has more outputs than `counts`"));
        }
        if self.start != self.data.len() {
            return Err(bad("there is data behind the last output"));
        }
        match self.keys.next() {
            Some(_) => Err(bad("partition keys are not in the order of the outputs")),
            None => Ok(()),
        }
    }
}

fn bad(what: &str) -> Broken {
    Broken::new(
        Cause::Result,
        format!("the packed outcomes do not add up: {what}"),
    )
}

#[cfg(test)]
mod tests;
