//! Amazon Data Firehose's API: AWS JSON 1.1 on `POST /`, the operation in `X-Amz-Target`.
//!
//! Shapes, limits and messages are the service's own as botocore's model (2015-08-04) and captures
//! of the service have them. Where there are keys, a call needs a signature (`http/entry.rs`).

mod describe;
#[cfg(feature = "failpoints")]
pub(super) mod fuzz;
mod put;
mod violations;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use firehose_sigv4::Refusal;
use serde::Deserialize;

use super::body::{BodyError, BodyFrames, read_whole};
use super::entry::{self, Caller, Denial, Why};
use super::{ApiState, StreamInfo};
use crate::config::Action;
use crate::printable::printable_json;
use violations::Violations;

/// Account number in ARNs and messages: there are no accounts here.
pub(super) const ACCOUNT: &str = "000000000000";
/// Largest body: 4 MiB of records in base64, and generous room for the JSON around them.
const BODY_BYTES_MAX: usize = 8 << 20;

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    PutRecord,
    PutRecordBatch,
    DescribeDeliveryStream,
    ListDeliveryStreams,
    /// One of Firehose's other operations.
    Administrative(&'static str),
}

impl Operation {
    fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let Some(target) = headers.get(TARGET) else {
            return Err(ApiError::unknown_operation(
                "the X-Amz-Target header is missing: this path speaks Amazon Data Firehose's API; \
                 to put plain lines use POST /streams/NAME/records",
            ));
        };
        let name = target
            .to_str()
            .ok()
            .and_then(|value| value.strip_prefix("Firehose_20150804."));
        Ok(match name {
            Some("PutRecord") => Self::PutRecord,
            Some("PutRecordBatch") => Self::PutRecordBatch,
            Some("DescribeDeliveryStream") => Self::DescribeDeliveryStream,
            Some("ListDeliveryStreams") => Self::ListDeliveryStreams,
            Some("CreateDeliveryStream") => Self::Administrative("CreateDeliveryStream"),
            Some("DeleteDeliveryStream") => Self::Administrative("DeleteDeliveryStream"),
            Some("UpdateDestination") => Self::Administrative("UpdateDestination"),
            Some("StartDeliveryStreamEncryption") => {
                Self::Administrative("StartDeliveryStreamEncryption")
            }
            Some("StopDeliveryStreamEncryption") => {
                Self::Administrative("StopDeliveryStreamEncryption")
            }
            Some("TagDeliveryStream") => Self::Administrative("TagDeliveryStream"),
            Some("UntagDeliveryStream") => Self::Administrative("UntagDeliveryStream"),
            Some("ListTagsForDeliveryStream") => Self::Administrative("ListTagsForDeliveryStream"),
            _ => {
                let target = String::from_utf8_lossy(target.as_bytes());
                return Err(ApiError::unknown_operation(format!(
                    "{target:?} is not an operation of Amazon Data Firehose (Firehose_20150804)"
                )));
            }
        })
    }

    /// What a key must be for to ask for it.
    const fn action(self) -> Action {
        match self {
            Self::PutRecord | Self::PutRecordBatch => Action::Put,
            _ => Action::Describe,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::PutRecord => "PutRecord",
            Self::PutRecordBatch => "PutRecordBatch",
            Self::DescribeDeliveryStream => "DescribeDeliveryStream",
            Self::ListDeliveryStreams => "ListDeliveryStreams",
            Self::Administrative(name) => name,
        }
    }

    /// The service's own answer to a body that cannot but hold too many bytes of records.
    fn too_large(self) -> ApiError {
        match self {
            Self::PutRecord => {
                let mut violations = Violations::default();
                violations.push("record.data", put::DATA_TOO_LONG);
                violations.into_error()
            }
            Self::PutRecordBatch => put::batch_too_large(),
            _ => ApiError::client(
                "SerializationException",
                format!("the request body is larger than {BODY_BYTES_MAX} bytes"),
            ),
        }
    }
}

/// An error in the service's shape.
#[derive(Debug, PartialEq, Eq)]
struct ApiError {
    status: StatusCode,
    kind: &'static str,
    message: Cow<'static, str>,
}

impl ApiError {
    fn client(kind: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            kind,
            message: message.into(),
        }
    }

    fn unknown_operation(message: impl Into<Cow<'static, str>>) -> Self {
        Self::client("UnknownOperationException", message)
    }

    /// The error that makes SDKs back off and try again: 500, as the service answers it.
    fn slow_down(cause: &dyn std::fmt::Display) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            kind: "ServiceUnavailableException",
            message: format!("Slow down. ({cause})").into(),
        }
    }

    fn no_such_stream(name: &str) -> Self {
        Self::client(
            "ResourceNotFoundException",
            format!("Firehose {name} not found under account {ACCOUNT}."),
        )
    }
}

impl From<Denial> for ApiError {
    /// All are 400, as the service answers them.
    fn from(denial: Denial) -> Self {
        let kind = match &denial.why {
            Why::Signature(Refusal::Missing) => "MissingAuthenticationTokenException",
            Why::Signature(Refusal::Incomplete(_)) => "IncompleteSignatureException",
            Why::Signature(Refusal::SessionToken) | Why::UnknownKey => {
                "UnrecognizedClientException"
            }
            Why::Signature(_) | Why::WrongSecret => "InvalidSignatureException",
            Why::NotGranted { operation, stream } => {
                let id = denial.key.as_deref().unwrap_or_default();
                let message = format!(
                    "User: arn:aws:iam::{ACCOUNT}:user/{id} is not authorized to perform: firehose:{operation} on \
                     resource: arn:aws:firehose:{}:{ACCOUNT}:deliverystream/{stream} because no identity-based policy \
                     allows the firehose:{operation} action (see `streams` and `actions` of its [[http.key]])",
                    describe::DEFAULT_REGION
                );
                return Self::client("AccessDeniedException", message);
            }
        };
        Self::client(kind, denial.why.to_string())
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        let message = error.to_string();
        match error {
            BodyError::Forged(_) => Self::client("InvalidSignatureException", message),
            BodyError::Busy | BodyError::GaveWay => Self::slow_down(&message),
            BodyError::TimedOut { .. } => Self {
                status: StatusCode::REQUEST_TIMEOUT,
                kind: "RequestTimeoutException",
                message: message.into(),
            },
            BodyError::TooLarge { .. } | BodyError::Broken(_) => {
                Self::client("SerializationException", message)
            }
        }
    }
}

/// A string, borrowed from the body unless it holds escapes. (`Option<Cow<str>>` would never
/// borrow.)
#[derive(Debug, Deserialize)]
struct BorrowedText<'a>(#[serde(borrow)] Cow<'a, str>);

/// Parses a request. `serde_json` bounds the nesting it follows, so no body overflows the stack. It does not look at the
/// bytes of strings that nobody asks for, so whether all of it is text is asked first.
fn parse<'a, T: Deserialize<'a>>(operation: Operation, body: &'a [u8]) -> Result<T, ApiError> {
    let body = if body.is_empty() { b"{}" } else { body };
    let refused = |error: &dyn Display| {
        let name = operation.name();
        ApiError::client(
            "SerializationException",
            format!("not the JSON of {name}: {error}"),
        )
    };
    let text = std::str::from_utf8(body).map_err(|error| refused(&error))?;
    serde_json::from_str(text).map_err(|error| refused(&error))
}

/// Answers a request to the API.
pub(super) async fn answer(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    respond(perform(&state, &head, body).await)
}

/// The answer where there is no place for a connection: SDKs back off and try again.
pub(super) fn crowded(cause: &str) -> Response {
    let error = ApiError {
        status: StatusCode::SERVICE_UNAVAILABLE,
        ..ApiError::slow_down(&cause)
    };
    respond(Err(error))
}

/// The answer to who may not come in.
pub(super) fn denied(cause: String) -> Response {
    respond(Err(ApiError {
        status: StatusCode::FORBIDDEN,
        ..ApiError::client("AccessDeniedException", cause)
    }))
}

fn respond(answer: Result<String, ApiError>) -> Response {
    let (status, text) = match answer {
        Ok(text) => (StatusCode::OK, text),
        Err(error) => {
            let body = serde_json::json!({ "__type": error.kind, "message": error.message });
            (error.status, printable_json(&body.to_string()).into_owned())
        }
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, MEDIA_TYPE);
    response.headers_mut().insert(REQUEST_ID, request_id());
    response
}

async fn perform(state: &ApiState, head: &Parts, body: Body) -> Result<String, ApiError> {
    let mut frames = BodyFrames::new(head, body, state);
    let caller = match state.keys.signed(head, state.clock.now_ms()) {
        Ok((caller, check)) => {
            frames.expect(check);
            caller
        }
        Err(denial) => {
            frames.discard().await;
            return Err(denial.into());
        }
    };
    let headers = &head.headers;
    let operation = match Operation::of(headers).and_then(|operation| {
        check_media_type(headers)?;
        Ok(operation)
    }) {
        Ok(operation) => operation,
        Err(error) => {
            frames.discard().await;
            return Err(error);
        }
    };
    let (body, hold) = read_whole(frames, BODY_BYTES_MAX)
        .await
        .map_err(|error| match error {
            BodyError::TooLarge { .. } => operation.too_large(),
            BodyError::Forged(refusal) => state.keys.denied(refusal.into(), &caller).into(),
            error => {
                state.turned_away(None, &error);
                error.into()
            }
        })?;
    state.let_in();
    let answer = match operation {
        Operation::PutRecord => put::put_record(state, &caller, &body).await,
        Operation::PutRecordBatch => put::put_record_batch(state, &caller, &body).await,
        Operation::DescribeDeliveryStream => describe::describe(state, &caller, &body),
        Operation::ListDeliveryStreams => describe::list(state, &caller, &body),
        Operation::Administrative(name) => Err(ApiError::client(
            "InvalidArgumentException",
            format!(
                "{name} is not available: delivery streams are defined in firehose.toml (a table \
                 [stream.NAME] each); change it there"
            ),
        )),
    };
    drop(hold);
    answer
}

/// JSON only: the AWS CLI and the SDKs speak it.
fn check_media_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    let essence = text
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match essence.as_str() {
        "application/x-amz-json-1.1" | "application/x-amz-json-1.0" | "application/json" => Ok(()),
        _ => Err(ApiError {
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            kind: "UnsupportedMediaTypeException",
            message: format!(
                "content type {text:?} is not supported (allowed: application/x-amz-json-1.1, \
                 application/json)"
            )
            .into(),
        }),
    }
}

/// A random id in UUID form. It need not be unpredictable, so it costs no system call.
fn request_id() -> HeaderValue {
    let id = uuid::Builder::from_random_bytes(fastrand::u128(..).to_ne_bytes()).into_uuid();
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    HeaderValue::from_str(id.hyphenated().encode_lower(&mut text))
        .expect("hexadecimal digits and hyphens are valid in a header")
}

/// The stream a request names, which has been checked already. Who may not have it is not told whether it is there.
fn stream<'a>(
    state: &'a ApiState,
    caller: &Caller,
    operation: Operation,
    name: Option<&BorrowedText<'_>>,
) -> Result<&'a StreamInfo, ApiError> {
    let name = name.map_or("", |text| &*text.0);
    if !caller.may(operation.action(), name) {
        let why = entry::not_granted(operation.name(), name);
        return Err(state.keys.denied(why, caller).into());
    }
    state
        .streams
        .get(name)
        .ok_or_else(|| ApiError::no_such_stream(name))
}
