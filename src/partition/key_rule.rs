//! What is asked of the prefix of an object's key: Firehose's limit, and what the destination takes.

use std::fmt;
use std::sync::Arc;

/// Longest evaluated prefix, in characters (Firehose's limit).
const PREFIX_CHARS_MAX: usize = 512;

/// What follows a prefix in a key, and which keys the destination takes. Cheap to clone.
#[derive(Clone)]
pub struct KeyRule {
    name: Arc<str>,
    short: usize,
    take: Arc<KeyCheck>,
}

/// Whether a key is taken; the error says why not.
type KeyCheck = dyn Fn(&str) -> Result<(), String> + Send + Sync;

impl KeyRule {
    /// `name`: the longest that follows a prefix. Keys of up to `short` bytes are taken without being
    /// asked about, if they begin with no dot and have no part that is empty, `.` or `..`.
    pub fn new(
        name: &str,
        short: usize,
        take: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            // A prefix has at least as many bytes as characters.
            short: short.min(PREFIX_CHARS_MAX),
            take: Arc::new(take),
        }
    }

    /// The rule of a destination that is not known: it takes every key.
    pub fn unknown() -> Self {
        Self::new("", PREFIX_CHARS_MAX, |_| Ok(()))
    }

    /// Whether a prefix of so many bytes need not be judged, if nothing in it is odd.
    pub(super) fn is_short(&self, bytes: usize) -> bool {
        bytes + self.name.len() <= self.short
    }

    /// Judges an evaluated prefix; the error is a sentence.
    pub(super) fn judge(&self, prefix: &str) -> Result<(), String> {
        let chars = prefix.chars().count();
        if chars > PREFIX_CHARS_MAX {
            return Err(format!(
                "the evaluated prefix can have {chars} characters, Firehose allows {PREFIX_CHARS_MAX}"
            ));
        }
        self.take_object(prefix)
    }

    /// Whether the destination takes an object under a prefix, however long that is.
    pub(super) fn take_object(&self, prefix: &str) -> Result<(), String> {
        let key = format!("{prefix}{}", self.name);
        (self.take)(&key).map_err(|why| format!("the destination cannot take the object: {why}"))
    }
}

impl fmt::Debug for KeyRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KeyRule")
            .field("name", &self.name)
            .field("short", &self.short)
            .finish_non_exhaustive()
    }
}

/// Judges the longest text that a prefix as written can become without what records put into it;
/// `appended` follows it by itself and does not count against Firehose's limit.
pub(super) fn check(
    widest: &str,
    appended: &str,
    rule: &KeyRule,
) -> Result<(), (String, &'static str)> {
    let chars = widest.chars().count();
    if chars > PREFIX_CHARS_MAX {
        let message = format!(
            "the prefix can become {chars} characters long, Firehose allows {PREFIX_CHARS_MAX}"
        );
        return Err((message, "shorten it"));
    }
    let taken = rule.take_object(&format!("{widest}{appended}"));
    taken.map_err(|why| {
        let help = if widest.is_ascii() {
            "change the prefix"
        } else {
            "change the prefix; a character beyond ASCII has 2 to 4 bytes"
        };
        (why, help)
    })
}
