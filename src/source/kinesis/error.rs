//! What a failed request to Kinesis means.

use std::error::Error;

use aws_sdk_kinesis::config::http::HttpResponse;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};

use crate::aws::{self, Endpoint, RequestError, RequestFailure};

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum KinesisError {
    /// Too many requests, or too large ones, for now.
    #[error(transparent)]
    Throttled(RequestError),
    /// The iterator is too old, or of another time of the server: it is made anew.
    #[error(transparent)]
    Iterator(RequestError),
    /// The stream does not know the place where an iterator is to begin.
    #[error(transparent)]
    Place(RequestError),
    /// There is no such stream, or no such shard in it.
    #[error(transparent)]
    Missing(RequestError),
    /// It may pass by itself.
    #[error(transparent)]
    Transient(RequestError),
    /// It needs a person; it is tried again.
    #[error(transparent)]
    Permanent(RequestError),
}

/// Codes that say: slower.
const THROTTLED: &[&str] = &[
    "ProvisionedThroughputExceededException",
    "LimitExceededException",
    "KMSThrottlingException",
    "ThrottlingException",
    "Throttling",
    "TooManyRequestsException",
    "RequestLimitExceeded",
];

impl KinesisError {
    /// Nothing was said to what was asked.
    pub(super) fn empty(asked: String) -> Self {
        Self::Transient(RequestError::because(asked, "an empty answer".to_owned()))
    }

    /// Reads the error of `operation`, an action of Kinesis, on what `of` names.
    pub(super) fn of<E>(
        error: &SdkError<E, HttpResponse>,
        operation: &str,
        of: &str,
        endpoint: &Endpoint,
    ) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        Self::read(&RequestFailure::at(error, endpoint), operation, of)
    }

    /// Reads the error that ended a subscription.
    pub(super) fn of_event<E, R>(error: &SdkError<E, R>, of: &str) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
        R: std::fmt::Debug,
    {
        let code = error
            .as_service_error()
            .and_then(ProvideErrorMetadata::code);
        let failure = RequestFailure {
            status: None,
            code: code.unwrap_or_default().to_owned(),
            text: aws::chain(error),
            unsent: false,
            unreached: false,
        };
        Self::read(&failure, "SubscribeToShard", of)
    }

    fn read(failure: &RequestFailure, operation: &str, of: &str) -> Self {
        let cause = RequestError::of(format!("{operation} of {of}"), failure);
        let permanent = |advice: &str| Self::Permanent(cause.clone().advised(advice));
        let code = failure.code.as_str();
        if let Some(advice) = failure.credentials_advice("endpoint") {
            return permanent(&advice);
        }
        if THROTTLED.contains(&code) {
            return Self::Throttled(cause);
        }
        match (code, failure.status) {
            ("ExpiredIteratorException", _) => Self::Iterator(cause),
            // An iterator of a server that has been put up anew means nothing to it.
            ("InvalidArgumentException", _) if operation == "GetRecords" => Self::Iterator(cause),
            ("ResourceNotFoundException", _) => Self::Missing(cause),
            ("ResourceInUseException" | "ExpiredNextTokenException", _) => Self::Transient(cause),
            ("AccessDeniedException" | "AccessDenied", _) => permanent(&format!(
                "allow these credentials kinesis:{operation} on the stream"
            )),
            ("InvalidArgumentException", _)
                if matches!(operation, "GetShardIterator" | "SubscribeToShard") =>
            {
                Self::Place(cause.advised("check `start`"))
            }
            _ if is_fan_out(operation) && failure.lacks_operation() => permanent(
                "what answers there has no enhanced fan-out: set `consumer` of the source to \
                 \"polling\"; if it should, check `endpoint`",
            ),
            _ if failure.lacks_operation() => {
                permanent("what answers there is not Kinesis: check `endpoint`")
            }
            (kms, _) if kms.starts_with("KMS") => {
                permanent("the stream's KMS key cannot be used: allow kms:Decrypt, or mend the key")
            }
            _ if failure.blames_request() => {
                permanent("Kinesis refuses the request; its message says why")
            }
            _ => Self::Transient(cause),
        }
    }
}

/// Whether it is only asked for enhanced fan-out. Plain reading has worked before that.
fn is_fan_out(operation: &str) -> bool {
    matches!(
        operation,
        "DescribeStreamConsumer" | "RegisterStreamConsumer" | "SubscribeToShard"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::with_causes;

    fn read(code: &str, status: u16, operation: &str) -> KinesisError {
        let failure = RequestFailure {
            status: Some(status),
            code: code.to_owned(),
            text: format!("{code}: no"),
            unsent: false,
            unreached: false,
        };
        KinesisError::read(&failure, operation, "stream clicks")
    }

    #[test]
    fn what_passes_and_what_needs_a_person_are_told_apart() {
        let throttled = read("ProvisionedThroughputExceededException", 400, "GetRecords");
        assert!(matches!(throttled, KinesisError::Throttled(_)));
        let expired = read("ExpiredIteratorException", 400, "GetRecords");
        assert!(matches!(expired, KinesisError::Iterator(_)));
        let missing = read("ResourceNotFoundException", 400, "ListShards");
        assert!(matches!(missing, KinesisError::Missing(_)));
        let failure = read("InternalFailure", 500, "GetRecords");
        assert!(matches!(failure, KinesisError::Transient(_)));
        let denied = read("AccessDeniedException", 400, "ListShards");
        assert_eq!(
            with_causes(&denied),
            "ListShards of stream clicks: AccessDeniedException: no: allow these credentials \
             kinesis:ListShards on the stream"
        );
        for (code, status) in [
            ("UnknownOperationException", 400),
            ("InvalidAction", 400),
            ("NotImplemented", 501),
            ("", 404),
            ("", 501),
        ] {
            for operation in ["RegisterStreamConsumer", "SubscribeToShard"] {
                let told = with_causes(&read(code, status, operation));
                assert!(told.contains("has no enhanced fan-out"), "{told}");
                assert!(told.contains("\"polling\""), "{told}");
            }
            let told = with_causes(&read(code, status, "ListShards"));
            assert!(told.contains("is not Kinesis"), "{told}");
        }
        for code in [
            "UnrecognizedClientException",
            "KMSDisabledException",
            "What",
        ] {
            assert!(matches!(
                read(code, 400, "GetRecords"),
                KinesisError::Permanent { .. }
            ));
        }
    }
}
