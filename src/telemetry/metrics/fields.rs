//! The metrics of fields that find no columns. Which there are shows with the records.

use metrics::Label;

use super::{Metrics, name};
use crate::telemetry::{FieldCount, FieldFate};

impl Metrics {
    /// Takes over the counts of a stream's fields; done for every scrape.
    pub fn observe_fields(&self, stream: &str, counts: &[FieldCount]) {
        for FieldCount {
            fate,
            path,
            records,
        } in counts
        {
            let name = match fate {
                FieldFate::Unknown => name::UNKNOWN_FIELDS,
                FieldFate::Missing => name::MISSING_FIELDS,
                FieldFate::Nulled => name::NULLED_FIELDS,
            };
            let labels = vec![
                Label::new("stream", stream.to_owned()),
                Label::new("field", path.clone()),
            ];
            self.counter(name, labels).absolute(*records);
        }
    }
}
