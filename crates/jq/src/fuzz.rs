//! The matcher on its own: any pattern, any text. For the fuzzer.

use super::matcher::{Options, Pattern};
use super::meter;

/// Matches stand in order, between characters, and groups inside of the text.
pub fn regex(flags: u8, pattern: &str, text: &str) {
    let mut options = Options::default();
    options.ignore_case = flags & 1 != 0;
    options.ignore_whitespace = flags & 2 != 0;
    options.dot_takes_line_ends = flags & 4 != 0;
    options.not_empty = flags & 8 != 0;
    // It may take more fuel than there is: that is an end, too.
    let _ = meter::bounded(|| {
        let Ok(pattern) = Pattern::new(pattern, options) else {
            return;
        };
        let searches = pattern.searches(text);
        let is_match = pattern.is_match(text, &searches);
        let (mut from, mut found) = (0, false);
        while let Some(hit) = pattern.find(text, from, &searches) {
            found = true;
            let whole = hit.whole();
            assert!(whole.start >= from, "it went back");
            for at in 0..pattern.names().count() {
                let group = hit.group(at).unwrap_or_default();
                assert!(
                    text.get(group.clone()).is_some(),
                    "no part of the text: {group:?}"
                );
            }
            let step = text[whole.end..].chars().next().map_or(1, char::len_utf8);
            from = whole.end + if whole.is_empty() { step } else { 0 };
            if from > text.len() {
                break;
            }
        }
        assert_eq!(found, is_match, "one way and the other");
    });
}
