//! What comes of claiming a state's epoch at its stores.

use super::{Pipeline, claim};
use crate::destination::{Conditional, Destination, PublishError};
use crate::failpoint;

impl Pipeline {
    pub(super) fn not_claimed(&mut self, store: &str, error: PublishError) {
        let (stream, cause) = (&self.settings.name, error.to_string());
        if let Some(unsaid) =
            self.context
                .status
                .repeats()
                .due_at_store("destination", store, &cause)
        {
            tracing::warn!(stream, cause, unsaid, "destination not ready");
        }
        self.stopping.failed(store, error);
        self.tell_of_unclaimed();
    }

    pub(super) fn claimed(
        &mut self,
        store: String,
        destination: Destination,
        conditional: Conditional,
    ) {
        claim::tell_of_overwriting(&self.settings.name, &destination, conditional);
        failpoint::hit("recovery-claimed");
        self.stopping.went_well(&store);
        self.protocol.claimed(&store);
        self.waiting.opened(&store);
        self.destinations.insert(store, destination);
        self.tell_of_unclaimed();
        self.give_up_uploads();
        self.tell_of_stranded();
    }
}
