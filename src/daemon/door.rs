//! The door of a stream: stays where it is while the journal behind it is opened anew.

use std::sync::{Arc, PoisonError, RwLock};

use crate::journal::Journal;
use crate::source::direct_put::{Appending, Intake, PutBatch, Refused};

/// The door of one stream for Direct PUT.
#[derive(Default)]
pub(super) struct Door(RwLock<Behind>);

enum Behind {
    Open(Journal),
    Shut { stream: String, cause: String },
}

impl Default for Behind {
    fn default() -> Self {
        Self::Shut {
            stream: String::new(),
            cause: String::new(),
        }
    }
}

impl Door {
    /// Lets producers in.
    pub(super) fn open(&self, journal: Journal) {
        self.set(Behind::Open(journal));
    }

    /// Refuses producers, with the cause.
    pub(super) fn shut(&self, stream: &str, cause: String) {
        self.set(Behind::Shut {
            stream: stream.to_owned(),
            cause,
        });
    }

    fn set(&self, behind: Behind) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = behind;
    }
}

impl Intake for Door {
    fn append(&self, batch: PutBatch) -> Appending<'_> {
        let journal = match &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            Behind::Open(journal) => Ok(journal.clone()),
            Behind::Shut { stream, cause } => Err(Refused::Disk {
                stream: stream.clone(),
                cause: cause.clone(),
            }),
        };
        Box::pin(async move { journal?.append(batch).await })
    }
}

/// A door as the HTTP listener holds it.
pub(super) type SharedDoor = Arc<Door>;
