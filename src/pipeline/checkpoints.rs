//! The two kinds of checkpoints: in a store on this machine, or shared by the machines that read a
//! stream together.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::shared::Shared;
use crate::checkpoint::Store;

/// Where a pipeline's checkpoints go.
pub enum Checkpoints {
    /// Into the stream's state on this machine.
    Local(Local),
    /// To the destination, by way of the lease on a shard.
    Shared(Box<Shared>),
}

/// The state on this machine.
pub struct Local {
    /// The checkpoint store.
    pub(super) store: Arc<Store>,
    /// Names this state folder for good.
    pub(super) incarnation: Uuid,
    /// The epoch of this recovery.
    pub(super) epoch: u32,
    /// When the state folder was created, in ms.
    pub(super) created_ms: i64,
}

impl Checkpoints {
    /// The store, where checkpoints are local.
    pub(super) fn store(&self) -> Option<Arc<Store>> {
        match self {
            Self::Local(local) => Some(Arc::clone(&local.store)),
            Self::Shared(_) => None,
        }
    }

    /// What is shared, where checkpoints are.
    pub(super) const fn shared(&self) -> Option<&Shared> {
        match self {
            Self::Local(_) => None,
            Self::Shared(shared) => Some(shared),
        }
    }

    /// The same, to be changed.
    pub(super) const fn shared_mut(&mut self) -> Option<&mut Shared> {
        match self {
            Self::Local(_) => None,
            Self::Shared(shared) => Some(shared),
        }
    }

    /// Whether all that is open is to be sealed and encoded before anything more is applied.
    pub(super) fn is_gathering(&self) -> bool {
        self.shared().is_some_and(Shared::is_gathering)
    }

    /// Whether no shared checkpoint is under way.
    pub(super) fn is_settled(&self) -> bool {
        self.shared().is_none_or(Shared::is_settled)
    }

    /// Cancelled when the pipeline must leave everything as it is; never where checkpoints are local.
    pub(super) fn abandoned(&self) -> CancellationToken {
        let shared = self.shared();
        shared.map_or_else(CancellationToken::new, |shared| shared.abandoned().clone())
    }
}
