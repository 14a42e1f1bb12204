//! The door of a stream: stays where it is while the source behind it is opened anew.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::disk::{DISK_IS_FULL, Shortage};
use crate::pipeline::Status;
use crate::source::{Accepted, Appending, Intake, PutBatch, Refused};
use crate::telemetry::Knock;

/// The door of one stream for producers.
pub(super) struct Door {
    stream: String,
    shortage: Shortage,
    status: Arc<Status>,
    behind: RwLock<Behind>,
}

enum Behind {
    Open(Arc<dyn Intake>),
    Shut { cause: String },
    Stopped { cause: String },
}

impl Door {
    /// A door that is still shut. On a full disk it stays shut, whatever is behind it.
    pub(super) fn new(stream: &str, shortage: Shortage, status: Arc<Status>) -> SharedDoor {
        Arc::new(Self {
            stream: stream.to_owned(),
            shortage,
            status,
            behind: RwLock::new(Behind::Shut {
                cause: "the stream is starting".to_owned(),
            }),
        })
    }

    /// Lets producers in.
    pub(super) fn open(&self, intake: Arc<dyn Intake>) {
        self.set(Behind::Open(intake));
    }

    /// Refuses producers for a while, with the cause.
    pub(super) fn shut(&self, cause: String) {
        self.set(Behind::Shut { cause });
    }

    /// Refuses producers until a person has decided, with the cause.
    pub(super) fn stop(&self, cause: String) {
        self.set(Behind::Stopped { cause });
    }

    /// Notes what a producer is told; refusals that go on are said in the log.
    fn note(&self, knock: Knock, answer: &Result<Accepted, Refused>) {
        let refused = match answer {
            Err(Refused::Stopping { .. }) => return,
            Err(refused) => refused,
            Ok(_) => return knock.accepted(),
        };
        self.tell(knock.refused(refused.to_string(), self.status.patience()));
    }

    /// Says why producers are not served, once that has lasted.
    fn tell(&self, stall: Option<String>) {
        let (stream, repeats) = (&self.stream, self.status.repeats());
        match stall {
            None => repeats.over(REFUSED),
            Some(cause) => {
                if let Some(unsaid) = repeats.due(REFUSED, &cause) {
                    tracing::error!(stream, cause, unsaid, "{REFUSED}");
                }
            }
        }
    }

    fn set(&self, behind: Behind) {
        *self.behind.write().unwrap_or_else(PoisonError::into_inner) = behind;
    }
}

impl Intake for Door {
    fn append(&self, batch: PutBatch) -> Appending<'_> {
        let stream = || self.stream.clone();
        let intake = match &*self.behind.read().unwrap_or_else(PoisonError::into_inner) {
            Behind::Open(_) if self.shortage.is_on() => Err(Refused::Disk {
                stream: stream(),
                cause: DISK_IS_FULL.to_owned(),
            }),
            Behind::Open(intake) => Ok(Arc::clone(intake)),
            Behind::Shut { cause } => Err(Refused::Unready {
                stream: stream(),
                cause: cause.clone(),
            }),
            Behind::Stopped { cause } => Err(Refused::Stopped {
                stream: stream(),
                cause: cause.clone(),
            }),
        };
        // One that is empty says nothing of whether there is room.
        let knock = (!batch.is_empty()).then(|| self.status.refusals().knock());
        Box::pin(async move {
            let answer = match intake {
                Ok(intake) => intake.append(batch).await,
                Err(refused) => Err(refused),
            };
            if let Some(knock) = knock {
                self.note(knock, &answer);
            }
            answer
        })
    }

    fn turned_away(&self, why: &str, waited: Duration, is_own: bool) {
        let refusals = self.status.refusals();
        let patience = self.status.patience();
        self.tell(refusals.turned_away(why.to_owned(), waited, is_own, patience));
    }

    fn let_in(&self) {
        self.status.refusals().let_in();
    }
}

/// Said of refusals that go on.
const REFUSED: &str = "producers are refused";

/// A door as the HTTP listener holds it.
pub(super) type SharedDoor = Arc<Door>;
