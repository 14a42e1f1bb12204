//! A request that failed, as an error: what was asked, and beneath it why that failed.

use std::fmt;

use super::RequestFailure;

/// What was asked. Its source is why that failed; [`with_causes`](crate::error::with_causes) tells both.
///
/// The error of the SDK is not kept: what it tells is spread over several layers, and
/// [`RequestFailure`] has made one line of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{asked}")]
pub struct RequestError {
    asked: String,
    #[source]
    reason: Option<RequestReason>,
}

/// Why a request failed: what was said, and what a person can do where it needs one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RequestReason {
    said: String,
    advice: Option<String>,
}

impl RequestError {
    /// Of a request that failed with this.
    pub fn of(asked: String, failure: &RequestFailure) -> Self {
        Self::because(asked, failure.text.clone())
    }

    /// Of a request that failed for a reason of ours.
    pub fn because(asked: String, said: String) -> Self {
        Self {
            asked,
            reason: Some(RequestReason { said, advice: None }),
        }
    }

    /// The same, with what a person can do.
    #[must_use]
    pub fn advised(self, advice: impl Into<String>) -> Self {
        let advice = advice.into();
        let reason = match self.reason {
            Some(RequestReason { said, .. }) => RequestReason {
                said,
                advice: Some(advice),
            },
            None => RequestReason {
                said: advice,
                advice: None,
            },
        };
        Self {
            asked: self.asked,
            reason: Some(reason),
        }
    }
}

/// One sentence that tells all.
impl From<String> for RequestError {
    fn from(sentence: String) -> Self {
        Self {
            asked: sentence,
            reason: None,
        }
    }
}

impl fmt::Display for RequestReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.said)?;
        match &self.advice {
            Some(advice) => write!(formatter, ": {advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for RequestReason {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::with_causes;

    #[test]
    fn what_was_asked_comes_before_what_was_said_and_what_to_do_last() {
        let sentence = RequestError::from("the lease is gone".to_owned());
        assert_eq!(with_causes(&sentence), "the lease is gone");
        assert_eq!(
            with_causes(&sentence.advised("take another")),
            "the lease is gone: take another"
        );
        let denied = RequestError::because("Scan of t".into(), "no".into());
        assert_eq!(denied.to_string(), "Scan of t");
        assert_eq!(with_causes(&denied), "Scan of t: no");
        assert_eq!(
            with_causes(&denied.advised("allow it")),
            "Scan of t: no: allow it"
        );
    }
}
