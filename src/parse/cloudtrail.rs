//! `cloudtrail`: a log file of `CloudTrail`, `{"Records":[…]}`, becomes the events in it, each byte for byte.

use firehose_json::elements;

use super::documents::{self, members};
use super::port::{Fault, Parse, Parts};
use crate::config::{ParserKind, ParserSettings, ParserSpec, Table};

/// `type = "cloudtrail"`.
#[derive(Debug)]
pub(super) struct CloudTrailKind;

/// What the config says of it: nothing.
#[derive(Debug, PartialEq, Eq)]
struct LogFile;

impl ParserKind for CloudTrailKind {
    fn word(&self) -> &'static str {
        "cloudtrail"
    }

    fn keys(&self) -> &'static [&'static str] {
        &[]
    }

    fn read(&self, _table: &mut Table<'_>) -> Option<ParserSettings> {
        Some(LogFile.into())
    }
}

impl super::ParserEntry for CloudTrailKind {
    fn parser<'s>(&self, settings: &'s ParserSettings) -> Option<&'s dyn Parse> {
        settings.get::<LogFile>().map(|file| file as &dyn Parse)
    }
}

impl ParserSpec for LogFile {
    fn word(&self) -> &'static str {
        CloudTrailKind.word()
    }
}

impl Parse for LogFile {
    fn parse(&self, record: &[u8], parts: &mut Parts<'_>) -> Result<(), Fault> {
        documents::parse(&take_apart, record, parts)
    }
}

fn take_apart(file: &[u8], parts: &mut Parts<'_>) -> Result<(), Fault> {
    let mut events = None;
    let whole = members(file, |name, value| {
        if name == b"Records" {
            events = Some(value);
        }
    });
    if whole.is_err() {
        return Err(Fault::mismatch("the record is no JSON object"));
    }
    let Some(events) = events.filter(|events| events.starts_with(b"[")) else {
        let message = "the record has no array `Records`, as log files of CloudTrail do";
        return Err(Fault::mismatch(message));
    };
    let mut is_empty = true;
    for event in elements(events) {
        let event = &events[event];
        if !event.starts_with(b"{") {
            return Err(Fault::mismatch("an element of `Records` is no object"));
        }
        parts.put(event)?;
        is_empty = false;
    }
    if is_empty { parts.leave_out() } else { Ok(()) }
}
