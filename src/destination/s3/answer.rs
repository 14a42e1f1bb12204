//! What a failed request tells, and what can be done about it.

use std::error::Error;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::aws::{Endpoint, RequestFailure};
use crate::destination::PublishError;

/// A request that failed.
#[derive(Clone, Debug)]
pub(super) struct S3Failure(RequestFailure);

/// What to say about an error code that needs a person: code, then where to look.
const PERMANENT: &[(&str, &str)] = &[
    (
        "NoSuchBucket",
        "create the bucket, or mend `bucket` (then `firehose state retarget`)",
    ),
    ("InvalidBucketName", "mend `bucket`"),
    (
        "AllAccessDisabled",
        "the bucket's owner has closed it; mend `bucket`",
    ),
    (
        "AccountProblem",
        "the account of these credentials has a problem; ask its provider",
    ),
    (
        "InvalidAccessKeyId",
        "the store does not know the key: mend `access_key_id` or `profile`",
    ),
    ("SignatureDoesNotMatch", "mend `secret_access_key`"),
    (
        "PermanentRedirect",
        "the bucket lives elsewhere: mend `region` or `endpoint`",
    ),
    (
        "TemporaryRedirect",
        "the bucket lives elsewhere: mend `region` or `endpoint`",
    ),
    ("AuthorizationHeaderMalformed", "mend `region`"),
    ("IllegalLocationConstraintException", "mend `region`"),
    ("AuthorizationQueryParametersError", "mend `region`"),
    (
        "ExpiredToken",
        "the credentials have expired: renew them (session token or `profile`)",
    ),
    (
        "TokenRefreshRequired",
        "the credentials have expired: renew them",
    ),
    (
        "InvalidToken",
        "the session token is not valid: renew the credentials",
    ),
    ("RequestTimeTooSkewed", "set this machine's clock"),
    ("InvalidStorageClass", "mend `storage_class`"),
    (
        "AccessControlListNotSupported",
        "the bucket has ACLs disabled: remove `acl`",
    ),
    ("InvalidTag", "mend `tags`"),
    ("InvalidEncryptionAlgorithmError", "mend `encryption`"),
    (
        "ServerSideEncryptionConfigurationNotFoundError",
        "mend `encryption`",
    ),
    ("KeyTooLongError", "shorten the prefix"),
    ("QuotaExceeded", "raise the bucket's quota or free room"),
    ("XMinioStorageFull", "free room at the store"),
    (
        "NotImplemented",
        "the store lacks something that was asked for: see its message",
    ),
    (
        "BadDigest",
        "the bytes changed between checkpoint and store: check memory and disk",
    ),
    (
        "XAmzContentChecksumMismatch",
        "the bytes changed between checkpoint and store",
    ),
];

/// Codes that pass by themselves although their HTTP status says that the request is at fault.
const TRANSIENT: &[&str] = &[
    "RequestTimeout",
    "ConditionalRequestConflict",
    "OperationAborted",
    "PreconditionFailed",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "RequestLimitExceeded",
    "TooManyRequests",
    "IncompleteBody",
];

/// Codes after which a multipart upload can never be completed.
const REFUSED_UPLOAD: &[&str] = &[
    "InvalidPart",
    "InvalidPartOrder",
    "EntityTooSmall",
    "BadDigest",
    "XAmzContentChecksumMismatch",
    "ConditionalRequestConflict",
];

impl S3Failure {
    /// Reads the error of a request.
    pub(super) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        Self(RequestFailure::of(error))
    }

    /// The key is taken, or was while a conditional write raced with another.
    pub(super) fn is_taken(&self) -> bool {
        matches!(self.0.status, Some(412))
            || self.0.code == "PreconditionFailed"
            || self.0.code == "ConditionalRequestConflict"
    }

    /// The request may have been carried out although no good answer came.
    pub(super) fn is_lost(&self) -> bool {
        !self.0.unsent
            && self
                .0
                .status
                .is_none_or(|status| (200..300).contains(&status))
    }

    /// There is no such object. (A missing bucket has a code of its own, except for a HEAD.)
    pub(super) fn is_missing(&self) -> bool {
        self.0.status == Some(404) && self.0.code != "NoSuchBucket"
    }

    /// There is no such multipart upload. Only for requests that name one.
    pub(super) fn is_upload_gone(&self) -> bool {
        self.is_missing()
    }

    /// The multipart upload can never be completed. Only for its completion.
    pub(super) fn is_refused_upload(&self) -> bool {
        REFUSED_UPLOAD.contains(&self.0.code.as_str())
    }

    /// The store does not know the operation, or a header of it.
    pub(super) fn is_not_implemented(&self) -> bool {
        self.0.status == Some(501) || self.0.code == "NotImplemented"
    }

    /// The credentials may not do this.
    pub(super) fn is_denied(&self) -> bool {
        self.0.status == Some(403)
            && matches!(self.0.code.as_str(), "" | "AccessDenied" | "Forbidden")
    }

    /// What was said, in one line.
    pub(super) fn text(&self) -> &str {
        &self.0.text
    }

    /// What it means for publishing. `doing` names the request and its object, `endpoint` who was asked.
    pub(super) fn error(&self, doing: &str, endpoint: &Endpoint) -> PublishError {
        let cause = format!("{doing}: {}", self.0.text_at(endpoint));
        let permanent = |advice: &str| PublishError::Permanent {
            cause: cause.clone(),
            advice: advice.into(),
        };
        if self.0.unsent {
            return permanent(
                "no request could be made: check the credentials (`access_key_id`, `profile`, the \
                 environment), `endpoint` and `region`",
            );
        }
        if self.0.unreached {
            let advice = endpoint.advice().to_owned();
            return PublishError::Unreachable { cause, advice };
        }
        let code = self.0.code.as_str();
        if let Some((_, advice)) = PERMANENT.iter().find(|(known, _)| *known == code) {
            return permanent(advice);
        }
        if code.contains("KMS") {
            return permanent(
                "the KMS key of `encryption` cannot be used: check key and permission",
            );
        }
        if self.is_denied() {
            return permanent(&format!("allow these credentials {}", permissions(doing)));
        }
        if TRANSIENT.contains(&code) {
            return PublishError::Transient(cause);
        }
        match self.0.status {
            Some(301 | 307 | 308) => permanent("the bucket lives elsewhere: mend `region`"),
            Some(501) => permanent("the store lacks something that was asked for"),
            Some(404) => permanent("check `bucket`, `endpoint` and `path_style`"),
            _ if self.0.blames_request() => {
                permanent("the store refuses the request; its message says why")
            }
            _ => PublishError::Transient(cause),
        }
    }
}

/// The permission that a denied request lacked.
fn permissions(doing: &str) -> &'static str {
    match doing.split(' ').next() {
        Some("asking" | "reading") => {
            "s3:GetObject on these keys and s3:ListBucket on the bucket (firehose asks whether an \
             object is its own after a lost reply, and without s3:ListBucket S3 tells nobody that there is none)"
        }
        Some("listing") => "s3:ListBucket on the bucket",
        Some("aborting") => "s3:AbortMultipartUpload",
        Some("removing") => "s3:DeleteObject on the keys with `.firehose/`",
        _ => {
            "s3:PutObject (and s3:PutObjectAcl, s3:PutObjectTagging, kms:GenerateDataKey where set)"
        }
    }
}
