//! Messages of bounded length: an error may quote a whole record.

use std::fmt::{self, Display, Write as _};

/// The longest text of another's in a failure, in bytes.
const BYTES_MAX: usize = 200;

/// A text that is cut where it gets long.
struct CutText(String);

impl fmt::Write for CutText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = BYTES_MAX.saturating_sub(self.0.len());
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        self.0.push('…');
        Err(fmt::Error)
    }
}

/// The beginning of a message.
pub(super) fn cut(message: &dyn Display) -> String {
    let mut text = CutText(String::new());
    // An error here means that the message was long enough.
    let _ = write!(text, "{message}");
    text.0
}
