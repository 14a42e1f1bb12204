//! What the store gives for a commit that it has made durable. What a durable checkpoint allows is had for nothing else.

use std::marker::PhantomData;

use super::{CheckpointStore, Commit, StoreError};
use crate::checkpoint::PlaceChanges;

/// This very commit is durable. It borrows the commit, so that it proves nothing of another one.
#[derive(Debug)]
pub struct StoreReceipt<'a>(PhantomData<fn(&'a Commit) -> &'a Commit>);

impl<'a> StoreReceipt<'a> {
    /// The transaction of `commit` has returned.
    pub(super) const fn of(_commit: &'a Commit) -> Self {
        Self(PhantomData)
    }
}

impl CheckpointStore {
    /// Writes one checkpoint durably. After an error the outcome is unknown: the store must be
    /// opened anew.
    pub fn commit<'a>(&self, commit: &'a Commit) -> Result<StoreReceipt<'a>, StoreError> {
        self.commit_with(commit, &PlaceChanges::default())
    }
}

#[cfg(test)]
impl<'a> StoreReceipt<'a> {
    /// The same of a store that is a model.
    pub const fn of_a_model(commit: &'a Commit) -> Self {
        Self::of(commit)
    }
}
