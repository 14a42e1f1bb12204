//! Records that a store refuses when their object is published: the way back into a batch of errors. One checkpoint
//! forgets the object and names that batch ([`Protocol::partly`](crate::protocol::Protocol::partly)).

use std::collections::BTreeSet;

use uuid::Uuid;

use super::Pipeline;
use crate::checkpoint::Lane;
use crate::destination::{PublishError, RefusedRecord};
use crate::failure::{ErrorOutputType, Failure};
use crate::telemetry::Tally;

/// Where they go.
const OUTPUT_TYPE: ErrorOutputType = ErrorOutputType::DestinationFailed;

impl Pipeline {
    /// Whether what a store refuses of this object can go elsewhere: not where daemons share the stream, whose
    /// checkpoints forget objects and name batches one without the other, nor where it is an error line itself.
    pub(super) fn may_take_back(&self, id: Uuid) -> bool {
        let object = self.protocol.object(id);
        object.is_some_and(|object| object.lane == Lane::Data) && self.log.names().need_the_spool()
    }

    /// Puts records of an object that its store has refused into batches of errors; which those are.
    pub(super) fn take_back(&mut self, id: Uuid, refused: &[RefusedRecord]) -> BTreeSet<Uuid> {
        let arrival_ms = self
            .protocol
            .object(id)
            .map_or(0, |object| object.arrival_ms);
        let clock = &self.context.clock;
        let (since, now_ms) = (self.waiting.since(id), clock.now_ms());
        let since = since.unwrap_or_else(|| clock.moment_of(arrival_ms));
        let (mut batches, mut tally) = (BTreeSet::new(), Tally::default());
        let mut last = None;
        for record in refused {
            let failure = Failure {
                output_type: OUTPUT_TYPE,
                code: record.code.clone().into(),
                message: record.message.clone().into(),
                transform: None,
            };
            tally.add(&failure, &record.data);
            let mut line = Vec::new();
            failure.write_refused(&record.data, arrival_ms, now_ms, &mut line);
            let batch = self.open_lane(Lane::Error(OUTPUT_TYPE), arrival_ms, since);
            batches.insert(batch);
            last = Some(batch);
            self.append(batch, 1, line.len() as u64, |block| {
                block.extend_from_slice(&line);
            });
        }
        if let Some(last) = last {
            self.note_failed(last, &tally);
        }
        batches
    }
}

/// What it means where there is no way back: the object waits for somebody to make the store take it.
pub(super) fn not_taken_back(error: &PublishError) -> PublishError {
    PublishError::Permanent {
        cause: error.to_string(),
        advice: "what a store refuses of errors, of a backup, or of a stream that daemons share can go nowhere else: \
                 make the store take those records, or name another destination"
            .into(),
    }
}
