//! Which records failed and why: counts, reasons and a sample by code, and when the log hears of them.
//!
//! All of it is bounded, whatever the records hold: the codes of a stream, the reasons of a code, the
//! bytes of a message and of a sample.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::failure::{ErrorOutputType, Failure, TransformFailure};

/// At most so many codes of a stream are told apart; records that fail with further codes are counted together.
const CODES_MAX: usize = 64;
/// At most so many messages of a code are told apart; records that fail with further messages are counted together.
const REASONS_MAX: usize = 8;
/// Bytes of a message that are kept.
const MESSAGE_BYTES_MAX: usize = 300;
/// Bytes of a record that are kept as the sample of its code.
const SAMPLE_BYTES_MAX: usize = 200;
/// The code under which what is not told apart is counted.
const OTHER: &str = "other";
/// The log hears of a code at once, then at most once in so long.
const TELL_EVERY: Duration = Duration::from_mins(1);

/// What tells failures apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureKind {
    /// The stage, which names the error prefix.
    pub output_type: ErrorOutputType,
    /// The code that the error object says.
    pub code: String,
    /// The module and our own code, for a failure in a transform.
    pub transform: Option<TransformFailure>,
}

/// Messages of one code, with the number of records that had each, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasons {
    /// The first ones that came.
    pub told: Vec<(String, u64)>,
    /// Records with further messages.
    pub others: u64,
}

/// The beginning of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureSample {
    /// Its first bytes.
    pub bytes: Vec<u8>,
    /// How many bytes the record has.
    pub length: usize,
}

/// Records that failed for one kind of cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedRecords {
    /// Which kind.
    pub kind: FailureKind,
    /// How many records.
    pub records: u64,
    /// Why they failed.
    pub reasons: Reasons,
    /// The message of the last one.
    pub last_message: String,
    /// The first one.
    pub sample: FailureSample,
}

/// Records that failed together, by kind. Made where they fail; costs nothing when none does, and
/// when all do far less than the lines of their error object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(Vec<FailedRecords>);

/// What is known of one kind of failure since the process began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownFailure {
    /// The records.
    pub failed: FailedRecords,
    /// When the first failed, in milliseconds since the Unix epoch.
    pub first_ms: i64,
    /// When the last failed.
    pub last_ms: i64,
    /// The error object that the last one is in, or will be.
    pub object: String,
}

/// What the log is to say of one kind of failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Which kind.
    pub kind: FailureKind,
    /// Records that failed since the last time.
    pub records: u64,
    /// Why they did.
    pub reasons: Reasons,
    /// Records that failed since the process began.
    pub total: u64,
    /// The error object that the last one is in, or will be.
    pub object: String,
}

/// The failures of one delivery stream since the process began.
#[derive(Debug, Default)]
pub struct Failures(Mutex<Vec<FailureEntry>>);

#[derive(Debug)]
struct FailureEntry {
    known: KnownFailure,
    told: Option<Instant>,
    /// What the log has not heard of.
    untold: u64,
    untold_reasons: Reasons,
}

impl FailureKind {
    fn of(failure: &Failure) -> Self {
        Self {
            output_type: failure.output_type,
            code: failure.code.clone().into_owned(),
            transform: failure.transform.clone(),
        }
    }

    const fn other(output_type: ErrorOutputType) -> Self {
        Self {
            output_type,
            code: String::new(),
            transform: None,
        }
    }

    fn is_of(&self, failure: &Failure) -> bool {
        self.output_type == failure.output_type
            && self.code == failure.code
            && self.transform == failure.transform
    }

    /// The code; all codes that are not told apart have one.
    pub fn code(&self) -> &str {
        if self.code.is_empty() {
            OTHER
        } else {
            &self.code
        }
    }

    /// The module's name and our code for what went wrong there.
    pub fn transform(&self) -> Option<(&str, &'static str)> {
        let transform = self.transform.as_ref()?;
        Some((&transform.module, transform.code))
    }
}

impl Reasons {
    fn add(&mut self, message: &str, records: u64) {
        if let Some((_, count)) = self.told.iter_mut().find(|(told, _)| told == message) {
            *count += records;
        } else if self.told.len() < REASONS_MAX {
            self.told.push((message.to_owned(), records));
        } else {
            self.others += records;
        }
    }

    fn extend(&mut self, more: &Self) {
        for (message, records) in &more.told {
            self.add(message, *records);
        }
        self.others += more.others;
    }

    /// The message that came first.
    pub fn first(&self) -> &str {
        self.told.first().map_or("", |(message, _)| message)
    }
}

impl FailureSample {
    fn of(record: &[u8]) -> Self {
        Self {
            bytes: record[..record.len().min(SAMPLE_BYTES_MAX)].to_vec(),
            length: record.len(),
        }
    }

    /// The beginning as text, if it is text.
    pub fn text(&self) -> Option<&str> {
        match std::str::from_utf8(&self.bytes) {
            Ok(text) => Some(text),
            // Cut inside a character.
            Err(error) if self.is_cut() && error.error_len().is_none() => {
                std::str::from_utf8(&self.bytes[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        }
    }

    /// Whether the record has more than this.
    pub const fn is_cut(&self) -> bool {
        self.length > self.bytes.len()
    }
}

impl Tally {
    /// Counts a record that failed.
    pub fn add(&mut self, failure: &Failure, record: &[u8]) {
        let message = cut(&failure.message);
        let known = self.0.iter().position(|failed| failed.kind.is_of(failure));
        let index = known.unwrap_or_else(|| {
            let kind = FailureKind::of(failure);
            self.entry(kind, || FailureSample::of(record))
        });
        let failed = &mut self.0[index];
        failed.records += 1;
        failed.reasons.add(message, 1);
        failed.last_message.clear();
        failed.last_message.push_str(message);
    }

    /// Which entry counts failures of this kind.
    fn entry(&mut self, kind: FailureKind, sample: impl FnOnce() -> FailureSample) -> usize {
        let kind = told_apart(kind, self.0.len());
        let known = self.0.iter().position(|failed| failed.kind == kind);
        known.unwrap_or_else(|| {
            self.0.push(FailedRecords {
                kind,
                records: 0,
                reasons: Reasons::default(),
                last_message: String::new(),
                sample: sample(),
            });
            self.0.len() - 1
        })
    }

    /// What has failed.
    pub fn iter(&self) -> impl Iterator<Item = &FailedRecords> {
        self.0.iter()
    }
}

impl Failures {
    /// Adds records whose error lines are in the batch that becomes `object`.
    pub fn add(&self, tally: &Tally, object: &str, now_ms: i64) {
        let mut entries = self.lock();
        for failed in tally.iter() {
            let kind = &failed.kind;
            let known = entries
                .iter()
                .position(|entry| entry.known.failed.kind == *kind);
            let index = known.unwrap_or_else(|| entry(&mut entries, failed, now_ms));
            entries[index].add(failed, object, now_ms);
        }
    }

    /// All that is known, in the order in which it came up.
    pub fn known(&self) -> Vec<KnownFailure> {
        let entries = self.lock();
        entries.iter().map(|entry| entry.known.clone()).collect()
    }

    /// What the log is to hear of at `now`.
    pub fn due(&self, now: Instant) -> Vec<Notice> {
        let is_due = |told: Instant| now.saturating_duration_since(told) >= TELL_EVERY;
        self.take(now, &|told| told.is_none_or(is_due))
    }

    /// What the log has not heard of, due or not.
    pub fn rest(&self, now: Instant) -> Vec<Notice> {
        self.take(now, &|_| true)
    }

    fn take(&self, now: Instant, is_wanted: &dyn Fn(Option<Instant>) -> bool) -> Vec<Notice> {
        let mut entries = self.lock();
        let wanted = entries
            .iter_mut()
            .filter(|entry| entry.untold > 0 && is_wanted(entry.told));
        wanted.map(|entry| entry.tell(now)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<FailureEntry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entry that counts failures of a kind that was not seen before.
fn entry(entries: &mut Vec<FailureEntry>, failed: &FailedRecords, now_ms: i64) -> usize {
    let kind = told_apart(failed.kind.clone(), entries.len());
    let known = entries
        .iter()
        .position(|entry| entry.known.failed.kind == kind);
    known.unwrap_or_else(|| {
        let failed = FailedRecords {
            kind,
            records: 0,
            reasons: Reasons::default(),
            ..failed.clone()
        };
        entries.push(FailureEntry {
            known: KnownFailure {
                failed,
                first_ms: now_ms,
                last_ms: now_ms,
                object: String::new(),
            },
            told: None,
            untold: 0,
            untold_reasons: Reasons::default(),
        });
        entries.len() - 1
    })
}

/// The kind itself while there is room for another one.
fn told_apart(kind: FailureKind, codes: usize) -> FailureKind {
    if codes < CODES_MAX {
        kind
    } else {
        FailureKind::other(kind.output_type)
    }
}

impl FailureEntry {
    fn add(&mut self, failed: &FailedRecords, object: &str, now_ms: i64) {
        let known = &mut self.known;
        known.failed.records += failed.records;
        known.failed.reasons.extend(&failed.reasons);
        known.failed.last_message.clone_from(&failed.last_message);
        known.last_ms = now_ms;
        if known.object != object {
            object.clone_into(&mut known.object);
        }
        self.untold += failed.records;
        self.untold_reasons.extend(&failed.reasons);
    }

    fn tell(&mut self, now: Instant) -> Notice {
        self.told = Some(now);
        Notice {
            kind: self.known.failed.kind.clone(),
            records: std::mem::take(&mut self.untold),
            reasons: std::mem::take(&mut self.untold_reasons),
            total: self.known.failed.records,
            object: self.known.object.clone(),
        }
    }
}

/// The beginning of a message.
fn cut(message: &str) -> &str {
    &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: &'static str, message: impl Into<String>) -> Failure {
        let output_type = ErrorOutputType::MetadataExtractionFailed;
        Failure::new(output_type, code, message.into())
    }

    fn tally(failures: &[Failure]) -> Tally {
        let mut tally = Tally::default();
        for failure in failures {
            tally.add(failure, b"record");
        }
        tally
    }

    #[test]
    fn records_are_counted_by_code_and_by_reason_with_the_first_as_sample() {
        let mut tally = Tally::default();
        tally.add(&failure("A", "no JSON"), b"one");
        tally.add(&failure("A", "no key"), b"two");
        tally.add(&failure("B", "too long"), b"three");
        tally.add(&failure("A", "no JSON"), b"four");
        let failures = Failures::default();
        failures.add(&tally, "lake/errors/1", 10);
        failures.add(&tally, "lake/errors/2", 20);
        let known = failures.known();
        let codes: Vec<_> = known.iter().map(|known| known.failed.kind.code()).collect();
        assert_eq!(codes, ["A", "B"]);
        let of_a = &known[0];
        assert_eq!(
            (of_a.failed.records, of_a.first_ms, of_a.last_ms),
            (6, 10, 20)
        );
        let told = [("no JSON".to_owned(), 4), ("no key".to_owned(), 2)];
        assert_eq!(of_a.failed.reasons.told, told);
        assert_eq!(of_a.failed.last_message, "no JSON");
        assert_eq!(of_a.failed.sample.text(), Some("one"));
        assert_eq!(of_a.object, "lake/errors/2");
    }

    #[test]
    fn the_log_hears_at_once_then_once_a_minute_and_of_the_rest_at_the_end() {
        let (failures, start) = (Failures::default(), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let told = |notices: Vec<Notice>| -> Vec<(String, u64, u64)> {
            let told = |of: Notice| (of.kind.code().to_owned(), of.records, of.total);
            notices.into_iter().map(told).collect()
        };
        let one = tally(&[failure("A", "why")]);
        failures.add(&one, "o", 0);
        assert_eq!(told(failures.due(at(0))), [("A".to_owned(), 1, 1)]);
        let mut lines = 0;
        for second in 0..60 {
            failures.add(&one, "o", 0);
            lines += failures.due(at(second)).len();
        }
        assert_eq!(lines, 0);
        failures.add(&tally(&[failure("B", "else")]), "o", 0);
        assert_eq!(told(failures.due(at(59))), [("B".to_owned(), 1, 1)]);
        assert_eq!(told(failures.due(at(60))), [("A".to_owned(), 60, 61)]);
        assert_eq!(told(failures.due(at(600))), [], "nothing has failed since");
        failures.add(&one, "o", 0);
        assert_eq!(told(failures.due(at(601))), [("A".to_owned(), 1, 62)]);
        failures.add(&one, "o", 0);
        assert_eq!(told(failures.rest(at(602))), [("A".to_owned(), 1, 63)]);
        assert_eq!(told(failures.rest(at(603))), []);
    }

    #[test]
    fn whatever_fails_what_is_kept_is_bounded_and_the_counts_add_up() {
        let codes: Vec<&'static str> = (0..500)
            .map(|number| &*String::leak(format!("Code{number}")))
            .collect();
        let (failures, long) = (Failures::default(), "ä".repeat(10_000));
        for code in &codes {
            let mut tally = Tally::default();
            for number in 0..50 {
                tally.add(&failure(code, format!("{number} {long}")), long.as_bytes());
            }
            failures.add(&tally, "o", 0);
        }
        let known = failures.known();
        assert_eq!(known.len(), CODES_MAX + 1);
        let records: u64 = known.iter().map(|known| known.failed.records).sum();
        assert_eq!(records, 500 * 50);
        assert_eq!(known[CODES_MAX].failed.kind.code(), OTHER);
        for KnownFailure { failed, .. } in &known {
            let Reasons { told, others } = &failed.reasons;
            let told_records: u64 = told.iter().map(|(_, records)| records).sum();
            assert_eq!(told_records + others, failed.records);
            assert!(told.len() <= REASONS_MAX);
            let longest = told.iter().map(|(message, _)| message.len()).max();
            assert!(longest.unwrap() <= MESSAGE_BYTES_MAX);
            assert!(failed.sample.bytes.len() <= SAMPLE_BYTES_MAX);
            let sample = failed.sample.text().unwrap();
            assert!(long.starts_with(sample) && failed.sample.is_cut());
        }
    }

    #[test]
    fn a_sample_that_is_no_text_says_so() {
        assert_eq!(FailureSample::of(b"\xff\xfe").text(), None);
        let cut_inside = [&[b'x'; SAMPLE_BYTES_MAX - 1][..], "ä".as_bytes()].concat();
        let text = "x".repeat(SAMPLE_BYTES_MAX - 1);
        assert_eq!(FailureSample::of(&cut_inside).text(), Some(&*text));
        let broken = &cut_inside[..SAMPLE_BYTES_MAX];
        assert_eq!(
            FailureSample::of(broken).text(),
            None,
            "not cut, but broken"
        );
    }
}
