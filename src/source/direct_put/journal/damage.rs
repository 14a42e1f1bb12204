//! What is said of damage in the journal: what it has cost, where that is known.

use std::io;
use std::ops::Range;

use super::MissingRange;
use super::shared::{Live, Shared};

/// What damage below the recorded end has cost, as far as the frames around it tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DamageCost {
    /// Records that were accepted and not delivered.
    Lost(MissingRange),
    /// None: no record stood there, or those that did were delivered before.
    Nothing,
    /// No whole frame stands behind it to tell.
    Unknown,
}

impl DamageCost {
    /// What is said of it.
    fn line(self) -> &'static str {
        match self {
            Self::Lost(range) if range.is_exact() => {
                "the journal is damaged: the records in this range are lost, all others are delivered"
            }
            Self::Lost(range) if range.records() > 0 => {
                "the journal is damaged: at least so many records of this range are lost, all others are \
                 delivered"
            }
            Self::Lost(_) | Self::Unknown => {
                "the journal is damaged, and nothing behind the damage tells how many records stood there: \
                 if there were any, they are lost; all others are delivered"
            }
            Self::Nothing => {
                "the journal is damaged where it held nothing that is not delivered: no record is lost"
            }
        }
    }
}

/// Says loudly what was found below the recorded end, and sets the segment aside.
pub(super) fn damage_found(
    shared: &Shared,
    segment: &Live,
    bytes: Range<u64>,
    cost: DamageCost,
) -> io::Result<()> {
    let range = match cost {
        DamageCost::Lost(range) => Some(range),
        DamageCost::Nothing | DamageCost::Unknown => None,
    };
    tracing::error!(
        stream = %shared.settings.stream,
        segment = %shared.path(segment.kind(), segment.number).display(),
        from_byte = bytes.start,
        to_byte = bytes.end,
        first_missing = range.map(|range| range.first.0),
        last_missing = range.map(|range| range.last.0),
        records = range.map(MissingRange::records),
        "{}",
        cost.line()
    );
    shared.quarantine(segment.number)
}

/// Says what is not whole at the end of the journal, and sets the segment aside.
pub(super) fn doubt_found(
    shared: &Shared,
    segment: &Live,
    bytes: Range<u64>,
    range: Option<MissingRange>,
) {
    tracing::error!(
        stream = %shared.settings.stream,
        segment = %shared.path(segment.kind(), segment.number).display(),
        from_byte = bytes.start,
        to_byte = bytes.end,
        first_missing = range.map(|range| range.first.0),
        last_missing = range.map(|range| range.last.0),
        "the journal's last write is not whole: either it was under way when the process or the machine \
         went down, and no producer was told that its records are accepted, or the disk has damaged it \
         since, and what it held is lost; all others are delivered"
    );
    // Failing to set it aside is told, and costs nothing but the copy for a person.
    let _ = shared.quarantine(segment.number);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Sequence;

    #[test]
    fn no_more_is_said_to_be_lost_than_is_known_to_be() {
        let at = |epoch, count| Sequence::first_of(epoch).plus(count);
        for (next, records, line) in [
            (at(1, 8), 3, "the records in this range are lost"),
            (at(2, 2), 2, "at least so many"),
            // What stands behind the damage is the first record of another epoch.
            (at(2, 0), 0, "if there were any, they are lost"),
        ] {
            let range = MissingRange::between(at(1, 5), next).unwrap();
            assert_eq!(range.records(), records, "{next:?}");
            assert!(DamageCost::Lost(range).line().contains(line), "{next:?}");
        }
        assert_eq!(MissingRange::between(at(1, 5), at(1, 5)), None);
        assert!(DamageCost::Nothing.line().contains("no record is lost"));
    }
}
