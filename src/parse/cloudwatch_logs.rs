//! `cloudwatch-logs`: what `CloudWatch` Logs sends to a subscription becomes the log events in it.

use firehose_json::{TextCursor, elements};

use super::documents::{self, members};
use super::fields::ObjectWriter;
use super::port::{Fault, Parse, Parts, quoted};
use crate::config::{ParserKind, ParserSettings, ParserSpec, Table};

/// `type = "cloudwatch-logs"`.
#[derive(Debug)]
pub(super) struct CloudWatchLogsKind;

/// What the config says of it.
#[derive(Debug, PartialEq, Eq)]
struct CloudWatchLogs {
    extract: Extract,
}

/// What of a log event comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extract {
    /// The event, and where it came from.
    Event,
    /// Its text alone, as Firehose's data message extraction has it.
    Message,
}

/// What comes out of each event of its envelope.
const OF_ENVELOPE: [&str; 4] = ["owner", "logGroup", "logStream", "subscriptionFilters"];

impl ParserKind for CloudWatchLogsKind {
    fn word(&self) -> &'static str {
        "cloudwatch-logs"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["extract"]
    }

    fn translations(&self) -> &'static [(&'static str, &'static str)] {
        &[
            (
                "Decompression",
                "is [stream.NAME.parse] with `type = \"cloudwatch-logs\"`",
            ),
            (
                "CloudWatchLogProcessing",
                "is `extract = \"message\"` in [stream.NAME.parse] with `type = \"cloudwatch-logs\"`",
            ),
        ]
    }

    fn read(&self, table: &mut Table<'_>) -> Option<ParserSettings> {
        let words = [("event", Extract::Event), ("message", Extract::Message)];
        let extract = table.word_or("extract", &words, Extract::Event)?;
        Some(CloudWatchLogs { extract }.into())
    }
}

impl super::ParserEntry for CloudWatchLogsKind {
    fn parser<'s>(&self, settings: &'s ParserSettings) -> Option<&'s dyn Parse> {
        let own = settings.get::<CloudWatchLogs>();
        own.map(|subscription| subscription as &dyn Parse)
    }
}

impl ParserSpec for CloudWatchLogs {
    fn word(&self) -> &'static str {
        CloudWatchLogsKind.word()
    }
}

impl Parse for CloudWatchLogs {
    fn parse(&self, record: &[u8], parts: &mut Parts<'_>) -> Result<(), Fault> {
        let take_apart = |envelope: &[u8], parts: &mut Parts<'_>| self.take_apart(envelope, parts);
        documents::parse(&take_apart, record, parts)
    }
}

impl CloudWatchLogs {
    fn take_apart(&self, envelope: &[u8], parts: &mut Parts<'_>) -> Result<(), Fault> {
        let (mut message_type, mut events) = (None, None);
        let mut common: [Option<&[u8]>; OF_ENVELOPE.len()] = [None; _];
        let whole = members(envelope, |name, value| match name {
            b"messageType" => message_type = Some(value),
            b"logEvents" => events = Some(value),
            name => {
                let known = OF_ENVELOPE.iter().position(|of| of.as_bytes() == name);
                if let Some(known) = known {
                    common[known] = Some(value);
                }
            }
        });
        if whole.is_err() {
            return Err(Fault::mismatch("the record is no JSON object"));
        }
        match message_type {
            Some(br#""DATA_MESSAGE""#) => {}
            // By these the service finds out whether it can send at all.
            Some(br#""CONTROL_MESSAGE""#) => return parts.leave_out(),
            Some(other) => {
                let other = quoted(&String::from_utf8_lossy(other));
                let message =
                    format!("`messageType` is {other}, neither DATA_MESSAGE nor CONTROL_MESSAGE");
                return Err(Fault::mismatch(message));
            }
            None => {
                let message = "the record has no `messageType`, as data of CloudWatch Logs does";
                return Err(Fault::mismatch(message));
            }
        }
        let Some(events) = events.filter(|events| events.starts_with(b"[")) else {
            return Err(Fault::mismatch("the record has no array `logEvents`"));
        };
        let (mut text, mut is_empty) = (Vec::new(), true);
        for event in elements(events) {
            text.clear();
            self.event(&events[event], &common, &mut text)?;
            parts.put(&text)?;
            is_empty = false;
        }
        if is_empty { parts.leave_out() } else { Ok(()) }
    }

    /// Appends what comes out of an event.
    fn event(
        &self,
        event: &[u8],
        common: &[Option<&[u8]>],
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let mut message = None;
        let mut object = Vec::new();
        let mut written = ObjectWriter::begin(&mut object);
        let whole = members(event, |name, value| {
            if name == b"message" {
                message = Some(value);
            }
            if !OF_ENVELOPE.iter().any(|of| of.as_bytes() == name) {
                push(name, value, &mut written);
            }
        });
        for (name, value) in OF_ENVELOPE.iter().zip(common) {
            if let Some(value) = value {
                push(name.as_bytes(), value, &mut written);
            }
        }
        written.end();
        let message = message.filter(|message| whole.is_ok() && message.starts_with(b"\""));
        let Some(message) = message else {
            let message = "an element of `logEvents` has no text `message`";
            return Err(Fault::mismatch(message));
        };
        if self.extract == Extract::Event {
            out.append(&mut object);
            return Ok(());
        }
        let decoded = TextCursor::new(message)
            .string()
            .is_ok_and(|message| message.decode(out).is_ok());
        if decoded {
            Ok(())
        } else {
            Err(Fault::mismatch("the `message` of an event is no text"))
        }
    }
}

/// Appends a member, as it is written in another object.
fn push(name: &[u8], value: &[u8], object: &mut ObjectWriter<'_>) {
    object.member(b"\"");
    object.text.extend_from_slice(name);
    object.text.extend_from_slice(b"\":");
    object.text.extend_from_slice(value);
}
