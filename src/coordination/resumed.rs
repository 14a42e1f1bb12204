//! What a taken lease goes on from.

use super::decisions::Taken;
use super::item::{BodyName, KclCheckpoint, LeaseItem};
use crate::config::StartSettings;
use crate::shard::{ShardStart, ShardState};

/// What a taken lease goes on from: the item as the taking write returned it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// The body of the last checkpoint of ours; its list is published, whatever else is true.
    pub body: Option<BodyName>,
    /// How far KCL, or we in its words, have read.
    pub checkpoint: KclCheckpoint,
    /// Where reading begins while nothing has been read.
    pub start: ShardStart,
    /// The shards it was split or merged from; all of them are done.
    pub parents: Vec<String>,
}

impl Resumed {
    /// What a lease goes on from, given the item as the take returned it.
    pub(super) fn of(taken: &Taken<LeaseItem>, settings: StartSettings) -> Self {
        let taken = taken.item();
        let time_ms = match settings {
            StartSettings::Time(ms) => Some(ms),
            StartSettings::TrimHorizon | StartSettings::Latest => None,
        };
        Self {
            body: taken.body.clone(),
            checkpoint: taken.checkpoint,
            start: taken.start(time_ms),
            parents: taken.parents.clone(),
        }
    }

    /// Where reading goes on, given the state that the body has of the shard. The text is for a
    /// person, loudly: a KCL worker has read on from there, and what it read is not ours to deliver.
    pub fn state(&self, ours: Option<&ShardState>) -> (ShardState, Option<String>) {
        let mut state = ours.cloned().unwrap_or_else(|| ShardState {
            start: self.start,
            parents: self.parents.clone(),
            ..ShardState::default()
        });
        let was = state.position.map_or_else(
            || "nothing".to_owned(),
            |position| position.sequence.to_string(),
        );
        match self.checkpoint {
            KclCheckpoint::At(position) if Some(position) > state.position && !state.ended => {
                (state.position, state.until_ms) = (Some(position), None);
            }
            KclCheckpoint::ShardEnd if !state.ended => state.ended = true,
            _ => return (state, None),
        }
        let (to, _) = self.checkpoint.written();
        let told = format!(
            "another application (KCL) has moved the shard's checkpoint from {was} to {to}: reading \
             goes on from there, and what lies between is not delivered by this stream"
        );
        (state, Some(told))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordination::item::tests::at;

    #[test]
    fn reading_goes_on_from_whoever_has_read_further_and_says_so() {
        let resumed = |checkpoint| Resumed {
            body: None,
            checkpoint,
            start: ShardStart::Latest(5),
            parents: vec!["p".into()],
        };
        let ours = ShardState {
            position: Some(at(10, 2)),
            until_ms: Some(1),
            ..ShardState::default()
        };
        let (state, told) = resumed(KclCheckpoint::Latest).state(None);
        assert_eq!((state.start, told), (ShardStart::Latest(5), None));
        assert_eq!(state.parents, ["p"]);
        for same in [at(10, 2), at(9, 0)] {
            let resumed = resumed(KclCheckpoint::At(same));
            assert_eq!(resumed.state(Some(&ours)), (ours.clone(), None));
        }
        let (state, told) = resumed(KclCheckpoint::At(at(10, 3))).state(Some(&ours));
        assert_eq!((state.position, state.until_ms), (Some(at(10, 3)), None));
        assert!(told.unwrap().contains("from 10 to 10"));
        let (state, told) = resumed(KclCheckpoint::ShardEnd).state(Some(&ours));
        assert!(state.ended && told.unwrap().contains("SHARD_END"));
    }
}
