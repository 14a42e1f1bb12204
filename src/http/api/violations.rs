//! Violations of the service's model: several are told in one `ValidationException`.

use std::fmt::Write as _;

use super::ApiError;
use crate::http::NAME_LENGTH_MAX;

/// Violations of the model's constraints, gathered into one `ValidationException`.
#[derive(Debug, Default)]
pub(super) struct Violations {
    count: usize,
    text: String,
}

impl Violations {
    /// Notes that the value at `path` violates `constraint`.
    pub(super) fn push(&mut self, path: impl std::fmt::Display, constraint: &str) {
        if self.count > 0 {
            self.text.push_str("; ");
        }
        self.count += 1;
        write!(
            self.text,
            "Value at '{path}' failed to satisfy constraint: {constraint}"
        )
        .expect("a string takes all");
    }

    /// Checks a delivery stream's name.
    pub(super) fn check_name(&mut self, path: &str, name: Option<&str>) {
        let Some(name) = name else {
            return self.push(path, "Member must not be null");
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if name.is_empty() {
            self.push(path, "Member must have length greater than or equal to 1");
        }
        if name.len() > NAME_LENGTH_MAX {
            self.push(path, "Member must have length less than or equal to 64");
        }
        if name.is_empty() || !name.bytes().all(allowed) {
            self.push(
                path,
                "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
            );
        }
    }

    /// Checks `Limit` of the listing operations.
    pub(super) fn check_limit(&mut self, limit: Option<i64>) {
        match limit {
            Some(..1) => self.push("limit", "Member must have value greater than or equal to 1"),
            Some(10_001..) => {
                self.push(
                    "limit",
                    "Member must have value less than or equal to 10000",
                );
            }
            _ => {}
        }
    }

    pub(super) fn into_error(self) -> ApiError {
        let plural = if self.count == 1 { "" } else { "s" };
        let message = format!(
            "{} validation error{plural} detected: {}",
            self.count, self.text
        );
        ApiError::client("ValidationException", message)
    }

    pub(super) fn into_result(self) -> Result<(), ApiError> {
        if self.count == 0 {
            Ok(())
        } else {
            Err(self.into_error())
        }
    }
}
