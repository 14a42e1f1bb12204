//! The door of a stream: stays where it is while the journal behind it is opened anew.

use std::sync::{Arc, PoisonError, RwLock};

use crate::disk::{DISK_IS_FULL, Shortage};
use crate::journal::Journal;
use crate::source::direct_put::{Appending, Intake, PutBatch, Refused};

/// The door of one stream for Direct PUT.
pub(super) struct Door {
    stream: String,
    shortage: Shortage,
    behind: RwLock<Behind>,
}

enum Behind {
    Open(Journal),
    Shut { cause: String },
}

impl Door {
    /// A door that is still shut. On a full disk it stays shut, whatever is behind it.
    pub(super) fn new(stream: &str, shortage: Shortage) -> SharedDoor {
        Arc::new(Self {
            stream: stream.to_owned(),
            shortage,
            behind: RwLock::new(Behind::Shut {
                cause: "the stream is starting".to_owned(),
            }),
        })
    }

    /// Lets producers in.
    pub(super) fn open(&self, journal: Journal) {
        self.set(Behind::Open(journal));
    }

    /// Refuses producers, with the cause.
    pub(super) fn shut(&self, cause: String) {
        self.set(Behind::Shut { cause });
    }

    fn refused(&self, cause: &str) -> Refused {
        Refused::Disk {
            stream: self.stream.clone(),
            cause: cause.to_owned(),
        }
    }

    fn set(&self, behind: Behind) {
        *self.behind.write().unwrap_or_else(PoisonError::into_inner) = behind;
    }
}

impl Intake for Door {
    fn append(&self, batch: PutBatch) -> Appending<'_> {
        let journal = match &*self.behind.read().unwrap_or_else(PoisonError::into_inner) {
            Behind::Open(_) if self.shortage.is_on() => Err(self.refused(DISK_IS_FULL)),
            Behind::Open(journal) => Ok(journal.clone()),
            Behind::Shut { cause } => Err(self.refused(cause)),
        };
        Box::pin(async move { journal?.append(batch).await })
    }
}

/// A door as the HTTP listener holds it.
pub(super) type SharedDoor = Arc<Door>;
