//! Files that a config names, read within bounds.

use std::io::Read as _;
use std::path::Path;

use firehose_json::BOM;

/// The text of a file of at most `max` bytes, without a byte order mark at its head; the error is a
/// sentence's end.
#[expect(
    clippy::disallowed_methods,
    reason = "what the config names is a person's file"
)]
pub(super) fn read_bounded(path: &Path, max: u64) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|cause| cause.to_string())?;
    let mut bytes = Vec::new();
    file.take(max + 1)
        .read_to_end(&mut bytes)
        .map_err(|cause| cause.to_string())?;
    if bytes.len() as u64 > max {
        return Err(format!("it is larger than {max} bytes"));
    }
    if bytes.starts_with(BOM) {
        bytes.drain(..BOM.len());
    }
    String::from_utf8(bytes).map_err(|fault| {
        let valid = &fault.as_bytes()[..fault.utf8_error().valid_up_to()];
        let line = 1 + memchr::memchr_iter(b'\n', valid).count();
        format!("line {line} is not UTF-8")
    })
}
