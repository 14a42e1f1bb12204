//! Partitions whose time is over, by the time of events: when that is, and where records go that come later.

use firehose_date_pattern::DatePattern;

use super::expression::{PrefixPart, SpannedPart};
use super::fault::PartitionFault;
use super::template::Template;
use super::{PartitionScratch, Partitioner, escape};

/// First byte of the identity of what is late, so that it is never that of a partition. No other begins with a control
/// byte but a hole.
const LATE_MARK: u8 = 0x02;

/// A late prefix, compiled.
pub(super) struct LateTemplate(pub(super) Template);

impl LateTemplate {
    /// What opens an identity that is of this prefix.
    pub(super) fn own<'a>(&'a self, identity: &'a [u8]) -> Option<(&'a Template, &'a [u8])> {
        let identity = identity.strip_prefix(&[LATE_MARK])?;
        Some((&self.0, identity))
    }
}

/// A record's event, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it was.
    pub at: i64,
    /// The first second that belongs to another partition; `i64::MAX`: there is none.
    pub partition_ends: i64,
}

impl Partitioner {
    /// Whether anybody asks for [`event`](Self::event).
    pub const fn minds_events(&self) -> bool {
        self.minds_events
    }

    /// The event of the record that this scratch has sorted last.
    pub fn event(&self, scratch: &mut PartitionScratch) -> Option<Event> {
        let at = scratch.extracted.event_time?;
        let partition_ends = scratch.times.passed_at(&self.times, &self.zone, at);
        Some(Event { at, partition_ends })
    }

    /// Appends the identity that the record which this scratch has sorted last has when it is late; nothing where late
    /// records stay in their partitions, as one does whose key would be none under the late prefix.
    pub fn write_late(&self, scratch: &mut PartitionScratch, out: &mut Vec<u8>) {
        let Some(LateTemplate(template)) = &self.late else {
            return;
        };
        let start = out.len();
        out.push(LATE_MARK);
        self.write(template, scratch, out);
        let (identity, escaped) = (&out[start + 1..], self.is_escaped());
        let is_below = escaped || escape::stays_below(identity).is_ok();
        if !is_below || template.fits(identity, escaped).is_err() {
            out.truncate(start);
        }
    }

    /// The text before the first expression of the late prefix, where there is one.
    pub fn late_literal(&self) -> Option<&str> {
        self.late.as_ref().map(|late| late.0.literal())
    }

    /// Whether an identity is one of late records, by [`write_late`](Self::write_late).
    pub fn is_late(identity: &str) -> bool {
        identity.as_bytes().first() == Some(&LATE_MARK)
    }
}

/// What is wrong with the time of a prefix by which partitions are to end, if it comes again.
pub(super) fn comes_again(pieces: &[SpannedPart]) -> Option<PartitionFault> {
    let (patterns, pieces): (Vec<DatePattern>, Vec<&SpannedPart>) = pieces
        .iter()
        .filter_map(|piece| match &piece.part {
            PrefixPart::EventTime(pattern) => Some((pattern.clone(), piece)),
            _ => None,
        })
        .unzip();
    let piece = pieces[DatePattern::comes_again(&patterns)?];
    let message = "with a `watermark` the prefix must say which time it is, and this comes again";
    let fault = PartitionFault::at(piece.field, piece.at.clone(), message);
    Some(fault.help(
        "write all of the time down to what a partition is of, such as !{eventTime:yyyy/MM/dd/HH}",
    ))
}
