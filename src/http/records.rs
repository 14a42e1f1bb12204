//! `POST /streams/NAME/records`: one record a line, or JSON.

#![expect(clippy::disallowed_methods, reason = "what requests take is measured")]

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Path, Request, State};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use firehose_json::{self as text, Texts};
use serde_json::json;

use super::bodies::Hold;
use super::body::{BodyError, BodyFrames};
use super::content::{BODY_BYTES_MAX, ContentError};
use super::decoding::{BodyRecords, ContentKind, Decoding};
use super::entry::{self, Caller, Why};
use super::{ApiState, StreamInfo, json};
use crate::config::{Action, StreamSettings};
use crate::source::{Intake, PutBatch, are_too_many_texts};

/// What `Retry-After` says, in seconds.
const RETRY_AFTER_SECONDS: &str = "1";

/// Accepts the records of a body together: nothing is handed over before the whole body is checked.
/// They are its lines, or, where the content type says JSON, one value, the elements of an array,
/// or values one after the other.
///
/// 200 `{"accepted": records, "bytes": bytes}` after they are durable. A body beyond 4 MiB becomes
/// several batches in order; where a later one is refused, the 503 says how many records (from the
/// first on) were accepted before it.
pub(super) async fn put(
    State(state): State<Arc<ApiState>>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let mut frames = BodyFrames::new(&head, body, &state);
    let (caller, check) = match state.keys.plain(&head, state.clock.now_ms()) {
        Ok(entered) => entered,
        Err(denial) => {
            frames.discard().await;
            return denial.into_response();
        }
    };
    frames.expect(check);
    let announced = frames.announced();
    // That says nothing of streams, so nobody need prove who they are to hear it.
    if announced.is_some_and(|length| length > BODY_BYTES_MAX as u64) {
        frames.discard().await;
        return content_failed(&ContentError::TooLarge);
    }
    let offered = Offer::of(&state, &head, &caller, &name, announced);
    let (offer, decoding) = match offered {
        Ok(offered) => offered,
        Err(refused) => {
            return match frames.discard_verified().await {
                Ok(()) => refused.into_response(&state, &caller),
                Err(error) => body_refused(&state, &caller, &name, error),
            };
        }
    };
    let Offer {
        stream,
        intake,
        kind,
    } = offer;
    let received = receive(frames, decoding, kind).await;
    if received.is_ok() {
        state.let_in();
    }
    match received {
        // What was sent as JSON is one text a record.
        Ok((batches, _hold))
            if kind == ContentKind::Lines
                && stream.settings.takes_apart()
                && are_too_many_texts(&batches) =>
        {
            content_failed(&ContentError::TooManyTexts)
        }
        Ok((batches, _hold)) => {
            let warning = match kind {
                ContentKind::Lines => advice(stream, &batches),
                ContentKind::Json => None,
            };
            hand_over(stream, intake, batches, warning).await
        }
        Err(Unreceived::Content(error)) => content_failed(&error),
        Err(Unreceived::Body(error)) => body_refused(&state, &caller, &name, error),
    }
}

/// What a request is for, as far as its head tells.
struct Offer<'s> {
    stream: &'s StreamInfo,
    intake: &'s dyn Intake,
    kind: ContentKind,
}

/// Why its body is of no use.
enum Refusing {
    /// Whoever sent it may not.
    Why(Why),
    /// Something else.
    Answer(Box<Response>),
}

impl Refusing {
    fn answer(answer: Response) -> Self {
        Self::Answer(Box::new(answer))
    }

    fn into_response(self, state: &ApiState, caller: &Caller) -> Response {
        match self {
            Self::Why(why) => state.keys.denied(why, caller).into_response(),
            Self::Answer(answer) => *answer,
        }
    }
}

impl<'s> Offer<'s> {
    /// Of a body of as many bytes as are announced, with what decodes it.
    fn of(
        state: &'s ApiState,
        head: &Parts,
        caller: &Caller,
        name: &str,
        announced: Option<u64>,
    ) -> Result<(Self, Decoding), Refusing> {
        if !caller.may(Action::Put, name) {
            return Err(Refusing::Why(entry::not_granted("PutRecord", name)));
        }
        let Some(stream) = state.streams.get(name) else {
            return Err(Refusing::answer(unknown_stream(state, caller, name)));
        };
        let Some(intake) = stream.intake.as_deref() else {
            return Err(Refusing::answer(no_door(name, &stream.settings)));
        };
        let value = |header| {
            head.headers
                .get(header)
                .map_or(&b""[..], HeaderValue::as_bytes)
        };
        let announced = announced.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        let at_most = announced.unwrap_or(BODY_BYTES_MAX).min(BODY_BYTES_MAX);
        let encoding = value(CONTENT_ENCODING);
        let kind = ContentKind::of(value(CONTENT_TYPE));
        let Some(decoding) = Decoding::new(encoding, kind, at_most) else {
            return Err(Refusing::answer(unsupported_encoding(encoding)));
        };
        let offer = Self {
            stream,
            intake,
            kind,
        };
        Ok((offer, decoding))
    }
}

/// The answer where a body did not come whole, or is not the one that was signed.
fn body_refused(state: &ApiState, caller: &Caller, name: &str, error: BodyError) -> Response {
    match error {
        BodyError::Forged(refusal) => state.keys.denied(refusal.into(), caller).into_response(),
        error => {
            state.turned_away(Some(name), &error);
            body_failed(&error)
        }
    }
}

/// Why there are no batches.
enum Unreceived {
    Body(BodyError),
    Content(ContentError),
}

impl From<BodyError> for Unreceived {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl From<ContentError> for Unreceived {
    fn from(error: ContentError) -> Self {
        Self::Content(error)
    }
}

/// Reads the body into batches.
async fn receive(
    mut frames: BodyFrames,
    decoding: Decoding,
    kind: ContentKind,
) -> Result<(Vec<PutBatch>, Hold), Unreceived> {
    let (decoding, received) = match decode(&mut frames, decoding).await {
        Ok(decoded) => decoded,
        Err(error @ Unreceived::Body(_)) => {
            frames.discard().await;
            return Err(error);
        }
        Err(error @ Unreceived::Content(_)) => {
            frames.discard_verified().await?;
            return Err(error);
        }
    };
    frames.verified()?;
    if received == 0 && kind == ContentKind::Lines {
        return Ok((Vec::new(), frames.into_hold()?)); // no bytes are no records, whatever their encoding
    }
    let batches = match decoding.finish()?.into_records() {
        BodyRecords::Lines(lines) => lines.finish()?,
        BodyRecords::Values(values) => {
            let checked = values.check()?;
            frames.hold(checked.memory()).await?;
            checked.batches()
        }
    };
    Ok((batches, frames.into_hold()?))
}

/// Decodes a body as it comes; with it how many bytes came.
async fn decode(
    frames: &mut BodyFrames,
    mut decoding: Decoding,
) -> Result<(Decoding, usize), Unreceived> {
    let mut received = 0;
    while let Some(piece) = frames.next().await? {
        received += piece.len();
        if received > BODY_BYTES_MAX {
            return Err(ContentError::TooLarge.into());
        }
        let mut rest = &piece[..];
        loop {
            // The piece counts for as long as it is worked through, and before it is copied.
            frames.hold(decoding.memory() + piece.len()).await?;
            if rest.is_empty() {
                break;
            }
            let taken = decoding.feed(rest)?;
            rest = &rest[taken..];
        }
    }
    Ok((decoding, received))
}

/// What to say of lines whose first is sure to fail, or to be one record in place of many: people who
/// send an array or a value on several lines as if it were lines.
fn advice(stream: &StreamInfo, batches: &[PutBatch]) -> Option<&'static str> {
    let first = batches.first().filter(|_| stream.settings.needs_json())?;
    let record = &first.data[..*first.ends.first()? as usize];
    let is_json = Texts::of(record).is_ok_and(|mut texts| texts.all(|text| text.is_ok()));
    if !is_json {
        Some(
            "the first line is not JSON, which this stream needs: it fails; one JSON value or an \
             array of records is sent with Content-Type: application/json",
        )
    } else if record.trim_ascii_start().starts_with(b"[") && text::is_one(record) {
        Some(
            "the first line is an array, which is one record here; \
             Content-Type: application/json makes its elements the records",
        )
    } else {
        None
    }
}

/// Hands the batches to the intake in order and answers when the last is durable.
async fn hand_over(
    stream: &StreamInfo,
    intake: &dyn Intake,
    batches: Vec<PutBatch>,
    warning: Option<&'static str>,
) -> Response {
    let start = Instant::now();
    let (mut accepted, mut bytes) = (0, 0);
    let mut batches = batches.into_iter();
    while let Some(batch) = batches.next() {
        let (batch_records, batch_bytes) = (batch.len() as u64, batch.data.len() as u64);
        match intake.append(batch).await {
            Ok(_) => {
                accepted += batch_records;
                bytes += batch_bytes;
                stream.metrics.incoming_records.add(batch_records);
                stream.metrics.incoming_bytes.add(batch_bytes);
            }
            Err(refused) => {
                let rest = batches.map(|batch| batch.len() as u64).sum::<u64>();
                stream.metrics.refused_records.add(batch_records + rest);
                let body = json!({
                    "error": refused.to_string(), "accepted": accepted, "bytes": bytes,
                });
                return with(
                    json(StatusCode::SERVICE_UNAVAILABLE, &body),
                    RETRY_AFTER,
                    RETRY_AFTER_SECONDS,
                );
            }
        }
    }
    stream.metrics.incoming_requests.add(1);
    stream.metrics.put.since(start);
    let mut body = json!({ "accepted": accepted, "bytes": bytes });
    if let Some(warning) = warning {
        body["warning"] = warning.into();
    }
    json(StatusCode::OK, &body)
}

fn failed(status: StatusCode, error: &str) -> Response {
    json(
        status,
        &json!({ "error": error, "accepted": 0, "bytes": 0 }),
    )
}

fn no_door(name: &str, settings: &StreamSettings) -> Response {
    let instead = settings.source.put_elsewhere();
    let instead = instead.unwrap_or("takes no records");
    let error = format!("stream {name} {instead}");
    json(StatusCode::BAD_REQUEST, &json!({ "error": error }))
}

/// A near name is told to those only who may put there.
fn unknown_stream(state: &ApiState, caller: &Caller, name: &str) -> Response {
    let may = |other: &str| caller.may(Action::Put, other);
    failed(StatusCode::NOT_FOUND, &state.no_such_stream(name, may))
}

fn unsupported_encoding(encoding: &[u8]) -> Response {
    let encoding = String::from_utf8_lossy(encoding);
    let error = format!(
        "content encoding {encoding:?} is not supported (allowed: {})",
        Decoding::ACCEPTED
    );
    let answer = failed(StatusCode::UNSUPPORTED_MEDIA_TYPE, &error);
    with(answer, ACCEPT_ENCODING, Decoding::ACCEPTED)
}

fn content_failed(error: &ContentError) -> Response {
    let mut body = json!({ "error": error.to_string(), "accepted": 0, "bytes": 0 });
    let status = match error {
        ContentError::LineTooLong { line } => {
            body["line"] = (*line).into();
            StatusCode::PAYLOAD_TOO_LARGE
        }
        ContentError::ValueTooLong { index, .. } => {
            body["index"] = (*index).into();
            StatusCode::PAYLOAD_TOO_LARGE
        }
        ContentError::TooLarge | ContentError::TooManyRecords | ContentError::TooManyTexts => {
            StatusCode::PAYLOAD_TOO_LARGE
        }
        ContentError::NotJson { line, column, .. } => {
            (body["line"], body["column"]) = ((*line).into(), (*column).into());
            StatusCode::BAD_REQUEST
        }
        ContentError::Encoding { .. } => StatusCode::BAD_REQUEST,
    };
    json(status, &body)
}

fn body_failed(error: &BodyError) -> Response {
    let message = error.to_string();
    match error {
        BodyError::TooLarge { .. } => failed(StatusCode::PAYLOAD_TOO_LARGE, &message),
        BodyError::TimedOut { .. } => failed(StatusCode::REQUEST_TIMEOUT, &message),
        BodyError::Broken(_) => failed(StatusCode::BAD_REQUEST, &message),
        BodyError::Forged(_) => failed(StatusCode::UNAUTHORIZED, &message),
        BodyError::Busy | BodyError::GaveWay => {
            let answer = failed(StatusCode::SERVICE_UNAVAILABLE, &message);
            with(answer, RETRY_AFTER, RETRY_AFTER_SECONDS)
        }
    }
}

fn with(mut answer: Response, name: HeaderName, value: &'static str) -> Response {
    answer
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
    answer
}
