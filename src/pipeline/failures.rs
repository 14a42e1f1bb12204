//! Failed records, for those who watch: counted by cause, and told of in the log.

use uuid::Uuid;

use super::Pipeline;
use crate::checkpoint::Target;
use crate::telemetry::{Notice, Tally};

/// Further reasons of one code that a line of the log names.
const OTHER_REASONS: usize = 3;

impl Pipeline {
    /// Counts records whose error lines go to the batch `id`. The log hears of a new cause at once.
    pub(super) fn note_failed(&self, id: Uuid, tally: &Tally) {
        let target = self.table.get(id).map(|entry| &entry.target);
        let object = target.map(Target::location);
        let status = &self.context.status;
        status.failed(tally, &object.unwrap_or_default());
        self.tell_of_failures(false);
    }

    /// Tells the log of what is due; at the end, of all that it has not heard of.
    pub(super) fn tell_of_failures(&self, is_end: bool) {
        for notice in self.context.status.untold_failures(is_end) {
            self.tell_of(&notice);
        }
    }

    fn tell_of(&self, notice: &Notice) {
        let Notice {
            kind,
            records,
            reasons,
            total,
            object,
        } = notice;
        let (module, own_code) = kind.transform().unzip();
        let more = reasons.told.iter().skip(1).take(OTHER_REASONS);
        let more: Vec<&str> = more.map(|(message, _)| message.as_str()).collect();
        tracing::warn!(
            stream = self.settings.name,
            "type" = kind.output_type.as_str(),
            code = kind.code(),
            transform = module,
            transform_code = own_code,
            records,
            total,
            reason = reasons.first(),
            other_reasons = (!more.is_empty()).then(|| more.join(" | ")),
            object,
            "records failed and go to the error prefix"
        );
    }
}
