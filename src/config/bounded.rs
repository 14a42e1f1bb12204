//! Files that a config names, read within bounds.

use std::io::{self, Read as _};
use std::path::Path;

use firehose_json::BOM;

/// Why a file cannot be read as text, as the end of a sentence.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnreadableText {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is larger than {max} bytes")]
    TooLarge { max: u64 },
    #[error("line {line} is not UTF-8")]
    NotUtf8 { line: usize },
}

/// The text of a file of at most `max` bytes, without a byte order mark at its head.
#[expect(
    clippy::disallowed_methods,
    reason = "what the config names is a person's file"
)]
pub(super) fn read_bounded(path: &Path, max: u64) -> Result<String, UnreadableText> {
    let file = std::fs::File::open(path)?;
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(UnreadableText::TooLarge { max });
    }
    if bytes.starts_with(BOM) {
        bytes.drain(..BOM.len());
    }
    String::from_utf8(bytes).map_err(|fault| {
        let valid = &fault.as_bytes()[..fault.utf8_error().valid_up_to()];
        let line = 1 + memchr::memchr_iter(b'\n', valid).count();
        UnreadableText::NotUtf8 { line }
    })
}
