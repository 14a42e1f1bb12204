//! `PutRecord` and `PutRecordBatch`.
//!
//! A request's records are accepted together or not at all: they are one append to the source.
//! So `FailedPutCount` is 0 in every success, and a refusal fails the whole call with
//! `ServiceUnavailableException`, which SDKs retry by themselves.

#![expect(clippy::disallowed_methods, reason = "what requests take is measured")]

use std::fmt::{self, Write as _};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use firehose_json::TEXTS_MAX;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::describe::aws_source;
use super::{ApiError, BorrowedText, Operation, Violations, parse, stream};
use crate::buffer::Buffer;
use crate::http::content::BATCH_BYTES_MAX;
use crate::http::entry::Caller;
use crate::http::{ApiState, StreamInfo};
use crate::position::Sequence;
use crate::record::{RECORD_BYTES_MAX, REQUEST_RECORDS_MAX};
use crate::source::{Accepted, PutBatch, are_too_many_texts};

/// Most records in a batch.
const BATCH_RECORDS_MAX: usize = 500;
/// One record never comes to more than a request may have, so that only those of a batch are counted.
const _: () = assert!(TEXTS_MAX <= REQUEST_RECORDS_MAX);

pub(super) const DATA_TOO_LONG: &str = "Member must have length less than or equal to 1024000";
const NULL: &str = "Member must not be null";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecord<'a> {
    #[serde(borrow)]
    delivery_stream_name: Option<BorrowedText<'a>>,
    #[serde(borrow)]
    record: Option<RecordEntry<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecordBatch<'a> {
    #[serde(borrow)]
    delivery_stream_name: Option<BorrowedText<'a>>,
    #[serde(borrow)]
    records: Option<Entries<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RecordEntry<'a> {
    #[serde(borrow)]
    data: Option<BorrowedText<'a>>,
}

/// The records of a batch; of those beyond the allowed number only that they are there.
#[derive(Debug)]
struct Entries<'a> {
    allowed: Vec<Option<RecordEntry<'a>>>,
    are_too_many: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ReadEntries)
    }
}

struct ReadEntries;

impl<'de> Visitor<'de> for ReadEntries {
    type Value = Entries<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut allowed = Vec::new();
        while allowed.len() < BATCH_RECORDS_MAX
            && let Some(entry) = seq.next_element()?
        {
            allowed.push(entry);
        }
        let mut are_too_many = false;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            are_too_many = true;
        }
        Ok(Entries {
            allowed,
            are_too_many,
        })
    }
}

/// `PutRecord`: the answer's JSON.
pub(super) async fn put_record(
    state: &ApiState,
    caller: &Caller,
    body: &[u8],
) -> Result<String, ApiError> {
    let operation = Operation::PutRecord;
    let request: PutRecord<'_> = parse(operation, body)?;
    let mut violations = Violations::default();
    let mut batch = PutBatch::default();
    check_name(&mut violations, request.delivery_stream_name.as_ref());
    match request.record {
        None => violations.push("record", NULL),
        Some(RecordEntry { data: None }) => violations.push("record.data", NULL),
        Some(RecordEntry { data: Some(data) }) => {
            let length = decode(&data, &mut batch, &"record.data")?;
            if length > RECORD_BYTES_MAX {
                violations.push("record.data", DATA_TOO_LONG);
            }
        }
    }
    violations.into_result()?;
    let stream = stream(
        state,
        caller,
        operation,
        request.delivery_stream_name.as_ref(),
    )?;
    let accepted = append(stream, batch).await?;
    Ok(format!(
        r#"{{"RecordId":"{:016x}","Encrypted":false}}"#,
        accepted.first.0
    ))
}

/// `PutRecordBatch`: the answer's JSON.
pub(super) async fn put_record_batch(
    state: &ApiState,
    caller: &Caller,
    body: &[u8],
) -> Result<String, ApiError> {
    let operation = Operation::PutRecordBatch;
    let request: PutRecordBatch<'_> = parse(operation, body)?;
    let mut violations = Violations::default();
    check_name(&mut violations, request.delivery_stream_name.as_ref());
    match &request.records {
        None => violations.push("records", NULL),
        Some(records) if records.allowed.is_empty() => {
            violations.push(
                "records",
                "Member must have length greater than or equal to 1",
            );
        }
        Some(_) => {}
    }
    let (records, are_too_many) = match &request.records {
        Some(records) => (&*records.allowed, records.are_too_many),
        None => (&[][..], false),
    };
    if are_too_many {
        violations.push(
            "records",
            "Member must have length less than or equal to 500",
        );
        return Err(violations.into_error());
    }
    let batch = decode_all(records, &mut violations)?;
    violations.into_result()?;
    if batch.data.len() > BATCH_BYTES_MAX {
        return Err(batch_too_large());
    }
    let stream = stream(
        state,
        caller,
        operation,
        request.delivery_stream_name.as_ref(),
    )?;
    if stream.settings.takes_apart() && are_too_many_texts(std::slice::from_ref(&batch)) {
        return Err(too_many_texts(&stream.name));
    }
    let accepted = append(stream, batch).await?;
    Ok(batch_answer(accepted))
}

/// Of the kind that the service has for too many bytes: to send the same again is of no use.
fn too_many_texts(stream: &str) -> ApiError {
    let message = format!(
        "Records are more than {REQUEST_RECORDS_MAX} JSON texts, each of which may become a record in {stream} \
         (deaggregate = \"json\"): send them in several requests"
    );
    ApiError::client("InvalidArgumentException", message)
}

/// The service's answer to more than 4 MiB of records.
pub(super) fn batch_too_large() -> ApiError {
    ApiError::client(
        "InvalidArgumentException",
        "Records size exceeds 4 MB limit",
    )
}

fn check_name(violations: &mut Violations, name: Option<&BorrowedText<'_>>) {
    violations.check_name("deliveryStreamName", name.map(|text| &*text.0));
}

/// Decodes the records, one after the other, into one arena.
fn decode_all(
    records: &[Option<RecordEntry<'_>>],
    violations: &mut Violations,
) -> Result<PutBatch, ApiError> {
    let encoded =
        |entry: &Option<RecordEntry<'_>>| entry.as_ref()?.data.as_ref().map(|data| data.0.len());
    let bytes: usize = records
        .iter()
        .filter_map(encoded)
        .map(base64::decoded_len_estimate)
        .sum();
    let mut batch = PutBatch {
        data: Buffer::with_room(bytes),
        ends: Vec::with_capacity(records.len()),
    };
    for (index, entry) in records.iter().enumerate() {
        let number = index + 1;
        match entry {
            None => violations.push(format_args!("records.{number}.member"), NULL),
            Some(RecordEntry { data: None }) => {
                violations.push(format_args!("records.{number}.member.data"), NULL);
            }
            Some(RecordEntry { data: Some(data) }) => {
                let path = format_args!("records.{number}.member.data");
                if decode(data, &mut batch, &path)? > RECORD_BYTES_MAX {
                    violations.push(path, DATA_TOO_LONG);
                }
            }
        }
    }
    Ok(batch)
}

/// Appends a decoded record to the arena; its length.
fn decode(
    data: &BorrowedText<'_>,
    batch: &mut PutBatch,
    path: &dyn std::fmt::Display,
) -> Result<usize, ApiError> {
    let start = batch.data.len();
    STANDARD
        .decode_vec(data.0.as_bytes(), &mut batch.data)
        .map_err(|error| {
            ApiError::client(
                "SerializationException",
                format!("'{path}' is not base64: {error}"),
            )
        })?;
    let end = u32::try_from(batch.data.len()).expect("a body is far below 4 GiB");
    batch.ends.push(end);
    Ok(batch.data.len() - start)
}

async fn append(stream: &StreamInfo, batch: PutBatch) -> Result<Accepted, ApiError> {
    let intake = stream.intake.as_ref().ok_or_else(|| {
        let stream_type = aws_source(stream).stream_type.word();
        ApiError::client(
            "InvalidArgumentException",
            format!("This operation is not permitted on {stream_type} delivery stream type."),
        )
    })?;
    let start = Instant::now();
    let (records, bytes) = (batch.len() as u64, batch.data.len() as u64);
    match intake.append(batch).await {
        Ok(accepted) => {
            stream.metrics.incoming_requests.add(1);
            stream.metrics.incoming_records.add(records);
            stream.metrics.incoming_bytes.add(bytes);
            stream.metrics.put.since(start);
            Ok(accepted)
        }
        Err(refused) => {
            stream.metrics.refused_records.add(records);
            Err(ApiError::slow_down(&refused))
        }
    }
}

/// One entry for each record, in the request's order. A record's id is its sequence number in the
/// journal, in hexadecimal.
fn batch_answer(accepted: Accepted) -> String {
    let mut text = String::with_capacity(80 + accepted.count * 32);
    text.push_str(r#"{"FailedPutCount":0,"Encrypted":false,"RequestResponses":["#);
    for index in 0..accepted.count {
        let Sequence(number) = accepted.first.plus(index as u64);
        let comma = if index == 0 { "" } else { "," };
        write!(text, r#"{comma}{{"RecordId":"{number:016x}"}}"#).expect("a string takes all");
    }
    text.push_str("]}");
    text
}
