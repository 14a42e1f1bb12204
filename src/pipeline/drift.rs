//! Fields and columns that lose each other, told while the objects of their records still fill.
//!
//! Encoding counts each record, but a batch may be open for hours before it is encoded. So some of the records that are
//! applied are copied, and three times a minute a worker reads those as encoding will read them all. Nothing hangs on what
//! it finds but what is told of it.

mod watch;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot::{self, error::TryRecvError};

use super::Pipeline;
use super::route::Routed;
use super::status::Status;
use crate::clock::Moment;
use crate::config::StreamSettings;
use crate::format::Survey;
use crate::telemetry::{DriftKind, FieldDrifts};
use watch::{DriftNews, DriftWatch};

/// A sample holds what comes in so long a time: in two of them, which is less than a minute, one has nothing of what came
/// before a field was renamed.
const EVERY: Duration = Duration::from_secs(20);
/// The first one is short: a wrong schema shows soon after the start. The others are spread over their time, since what
/// comes together is often alike: in each such part of it…
const PART: Duration = Duration::from_secs(2);
/// …come so many records more, unless fewer have come before.
const PART_RECORDS: usize = 100;
/// It is whole with so many records…
const RECORDS_MAX: usize = 1_000;
/// …or so many bytes of them.
const BYTES_MAX: usize = 4 << 20;
/// Paths that a line of the log names.
const TOLD_MAX: usize = 20;

/// What a stream with columns knows of fields and columns that lose each other.
pub(super) struct Drift {
    step: Step,
    /// How long the sample is gathered.
    time: Duration,
    watch: DriftWatch,
    account: Arc<FieldDrifts>,
}

enum Step {
    /// The next sample begins then, or at once.
    Over(Option<Moment>),
    /// Since when.
    Gathering(Moment, RecordSample),
    /// When the next one begins.
    Reading(Moment, oneshot::Receiver<Option<Survey>>),
}

/// Records, one after the other.
#[derive(Default)]
struct RecordSample {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
    /// Whether it takes no more.
    is_whole: bool,
}

impl RecordSample {
    fn push(&mut self, record: &[u8]) {
        if self.bytes.len() + record.len() > BYTES_MAX {
            self.is_whole = true;
            return;
        }
        self.bytes.extend_from_slice(record);
        self.ends.push(self.bytes.len());
        self.is_whole = self.ends.len() >= RECORDS_MAX;
    }

    /// How many records more it takes so long after it was begun.
    fn room(&self, age: Duration) -> usize {
        let parts = usize::try_from(age.as_secs() / PART.as_secs()).unwrap_or(RECORDS_MAX);
        let most = (parts + 1).saturating_mul(PART_RECORDS).min(RECORDS_MAX);
        if self.is_whole {
            return 0;
        }
        most.saturating_sub(self.ends.len())
    }

    fn records(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let spans = starts.zip(&self.ends);
        spans.map(|(start, end)| &self.bytes[start..*end])
    }
}

impl Drift {
    /// `None`: the stream's data has no columns.
    pub(super) fn begin(settings: &StreamSettings, status: &Status) -> Option<Self> {
        settings.format.columns()?;
        // Columns that are learned take every field that a column can take.
        let minds_unknown = settings.format.sample().is_none();
        Some(Self {
            step: Step::Over(None),
            time: PART,
            watch: DriftWatch::new(minds_unknown),
            account: Arc::clone(status.drifts()),
        })
    }

    /// Copies some of the records of data that are applied, where it is time for that.
    pub(super) fn gather(&mut self, routed: &Routed, now: Moment) {
        if let Step::Over(next) = &self.step
            && next.is_none_or(|next| next <= now)
            && routed.has_data()
        {
            self.step = Step::Gathering(now, RecordSample::default());
        }
        if let Step::Gathering(begun, sample) = &mut self.step {
            let room = sample.room(begun.until(now));
            for record in routed.some_of_data(room) {
                sample.push(record.data);
            }
        }
    }

    /// Bytes of memory that the sample takes.
    pub(super) const fn memory(&self) -> usize {
        match &self.step {
            Step::Gathering(_, sample) => sample.bytes.len(),
            _ => 0,
        }
    }

    /// Takes a sample that is whole, or old enough, and when the next one begins.
    fn due(&mut self, now: Moment) -> Option<(Moment, RecordSample)> {
        let Step::Gathering(begun, sample) = &mut self.step else {
            return None;
        };
        let next = begun.after(self.time);
        if !sample.is_whole && now < next {
            return None;
        }
        let sample = std::mem::take(sample);
        self.step = Step::Over(Some(next));
        self.time = EVERY;
        Some((next, sample))
    }

    /// What a sample shows, once it has been read.
    fn read(&mut self) -> Option<Survey> {
        let Step::Reading(next, reading) = &mut self.step else {
            return None;
        };
        let (next, read) = (*next, reading.try_recv());
        if matches!(read, Err(TryRecvError::Empty)) {
            return None;
        }
        self.step = Step::Over(Some(next));
        read.ok().flatten()
    }

    /// Takes in what a sample shows; what is so since then, where no other pipeline of the stream has told of it.
    fn learn(&mut self, survey: &Survey, now: Moment) -> Vec<(DriftKind, String)> {
        let DriftNews { mut begun, over } = self.watch.learn(survey, now);
        self.end(&over);
        begun.retain(|(kind, path)| self.account.begin(*kind, path));
        begun
    }

    /// Ends what no sample has shown for a while.
    fn expire(&mut self, now: Moment) {
        let over = self.watch.expire(now);
        self.end(&over);
    }

    fn end(&self, over: &[(DriftKind, String)]) {
        for (kind, path) in over {
            self.account.end(*kind, path);
        }
    }
}

impl Drop for Drift {
    /// Whoever goes on with the stream finds out by itself.
    fn drop(&mut self) {
        for (kind, path) in self.watch.lasting() {
            self.account.end(kind, path);
        }
    }
}

impl Pipeline {
    /// Has a worker read a sample when it is due, and tells what it shows. It is called with each tick, also when
    /// nothing comes in.
    pub(super) fn mind_the_drift(&mut self) {
        let now = self.context.clock.moment();
        let Some(drift) = &mut self.drift else {
            return;
        };
        if let Some((next, sample)) = drift.due(now)
            && let Some(columns) = self.outputs.formats.columns()
        {
            let read = move || Survey::of(&columns, sample.records());
            drift.step = Step::Reading(next, self.context.workers.run(read));
        }
        if let Some(survey) = drift.read() {
            let begun = drift.learn(&survey, now);
            say(&self.settings.name, &begun);
        }
        // After what has been read: that may have seen them again.
        drift.expire(now);
    }
}

/// Says once of each path that it has begun.
fn say(stream: &str, begun: &[(DriftKind, String)]) {
    let of_kind = |kind: DriftKind| {
        let paths = begun.iter().filter(move |(of, _)| *of == kind);
        let paths: Vec<&str> = paths.map(|(_, path)| path.as_str()).collect();
        let more = paths.len().saturating_sub(TOLD_MAX);
        let told = paths[..paths.len() - more].join(", ");
        match more {
            0 if told.is_empty() => None,
            0 => Some(told),
            more => Some(format!("{told} and {more} more")),
        }
    };
    let [unknown, missing] = DriftKind::ALL.map(of_kind);
    if unknown.is_some() || missing.is_some() {
        tracing::warn!(
            stream,
            unknown,
            missing,
            "records have fields that no column takes, or columns get no values any more: \
             somebody may have renamed a field"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_over_its_time_and_bounded_in_records_and_bytes() {
        let mut sample = RecordSample::default();
        let taken: Vec<usize> = (0..60)
            .map(|second| {
                let room = sample.room(Duration::from_secs(second));
                (0..room).for_each(|_| sample.push(b"{}"));
                room
            })
            .collect();
        assert_eq!(taken[..4], [100, 0, 100, 0]);
        assert!(sample.is_whole && sample.records().count() == RECORDS_MAX);
        assert!(sample.records().all(|record| record == b"{}"));
        // What did not come before comes later.
        assert_eq!(RecordSample::default().room(PART * 3), 4 * PART_RECORDS);

        let mut sample = RecordSample::default();
        let half = vec![b' '; BYTES_MAX / 2 + 1];
        sample.push(&half);
        sample.push(&half);
        assert_eq!((sample.records().count(), sample.room(EVERY)), (1, 0));
    }
}
