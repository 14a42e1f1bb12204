//! What a failed request to `DynamoDB` means.

use std::error::Error;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::aws::{Endpoint, RequestError, RequestFailure};

/// Why a request to the lease table failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// The condition of the write does not hold, or the lease is not what it must be.
    #[error(transparent)]
    Refused(RequestError),
    /// There is no such table.
    #[error(transparent)]
    NoTable(RequestError),
    /// It may pass by itself; whether the request was carried out is not known.
    #[error(transparent)]
    Transient(RequestError),
    /// It needs a person; it is tried again.
    #[error(transparent)]
    Permanent(RequestError),
}

/// Codes that pass by themselves though their status blames the request.
const PASSING: &[&str] = &[
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "RequestLimitExceeded",
    "LimitExceededException",
    "ResourceInUseException",
    "TransactionConflictException",
];

impl LeaseError {
    /// Nothing was said to what was asked.
    pub(super) fn empty(asked: String) -> Self {
        Self::Transient(RequestError::because(asked, "an empty answer".to_owned()))
    }

    /// Reads the error of `operation`, an action of `DynamoDB`, on what `of` names.
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

    fn read(failure: &RequestFailure, operation: &str, of: &str) -> Self {
        let cause = RequestError::of(format!("{operation} of {of}"), failure);
        let permanent = |advice: &str| Self::Permanent(cause.clone().advised(advice));
        let code = failure.code.as_str();
        if let Some(advice) = failure.credentials_advice("dynamodb_endpoint") {
            return permanent(&advice);
        }
        match (code, failure.status) {
            ("ConditionalCheckFailedException", _) => Self::Refused(cause),
            ("ResourceNotFoundException", _) => Self::NoTable(cause),
            (passing, _) if PASSING.contains(&passing) => Self::Transient(cause),
            ("AccessDeniedException" | "AccessDenied", _) => permanent(&format!(
                "allow these credentials dynamodb:{operation} on the table, or name another with \
                 `lease_table`"
            )),
            _ if failure.lacks_operation() => {
                permanent("what answers there is not DynamoDB: check `dynamodb_endpoint`")
            }
            _ if failure.blames_request() => permanent(
                "DynamoDB refuses the request; its message says why. Check `lease_table` and \
                 `region`",
            ),
            _ => Self::Transient(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::with_causes;

    fn read(code: &str, status: Option<u16>) -> LeaseError {
        let failure = RequestFailure {
            status,
            code: code.to_owned(),
            text: format!("{code}: no"),
            unsent: false,
            unreached: false,
        };
        LeaseError::read(&failure, "UpdateItem", "lease table firehose-clicks")
    }

    #[test]
    fn what_is_refused_what_passes_and_what_needs_a_person_are_told_apart() {
        let refused = read("ConditionalCheckFailedException", Some(400));
        assert!(matches!(refused, LeaseError::Refused(_)));
        let missing = read("ResourceNotFoundException", Some(400));
        assert!(matches!(missing, LeaseError::NoTable(_)));
        for (code, status) in [
            ("ProvisionedThroughputExceededException", Some(400)),
            ("InternalServerError", Some(500)),
            ("", None),
        ] {
            assert!(matches!(read(code, status), LeaseError::Transient(_)));
        }
        assert_eq!(
            with_causes(&read("AccessDeniedException", Some(400))),
            "UpdateItem of lease table firehose-clicks: AccessDeniedException: no: allow these \
             credentials dynamodb:UpdateItem on the table, or name another with `lease_table`"
        );
        let other = read("ValidationException", Some(400));
        assert!(matches!(other, LeaseError::Permanent { .. }));
    }
}
