//! A look at the raw text before the TOML parser sees it: dotted keys (`a.a.a.…`) nest tables
//! without a bound of the parser's, and dropping a tree of that depth would overflow the stack.
//! Arrays and inline tables are bounded by the parser itself.

use std::ops::Range;

/// Dots outside strings and comments on one line. No key of ours has more than four.
const DOTS_MAX: usize = 32;

/// The first line with more dots than any key of ours needs.
pub(super) fn too_deep(text: &str) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let (mut at, mut dots, mut line) = (0, 0, 0);
    while let Some(byte) = bytes.get(at) {
        at = match byte {
            b'\n' => {
                dots = 0;
                line = at + 1;
                at + 1
            }
            b'#' => end_of_line(bytes, at),
            quote @ (b'"' | b'\'') => end_of_string(bytes, at, *quote),
            b'.' => {
                dots += 1;
                if dots > DOTS_MAX {
                    return Some(line..at + 1);
                }
                at + 1
            }
            _ => at + 1,
        };
    }
    None
}

fn end_of_line(bytes: &[u8], from: usize) -> usize {
    memchr::memchr(b'\n', &bytes[from..]).map_or(bytes.len(), |length| from + length)
}

/// The byte after the string that opens at `from`; an open one ends with its line, or with the
/// text when it may span lines.
fn end_of_string(bytes: &[u8], from: usize, quote: u8) -> usize {
    let escapes = quote == b'"';
    let triple = [quote; 3];
    let spans_lines = bytes[from..].starts_with(&triple);
    let mut at = from + if spans_lines { 3 } else { 1 };
    while at < bytes.len() {
        match bytes[at] {
            b'\n' if !spans_lines => return at,
            b'\\' if escapes && bytes.get(at + 1) != Some(&b'\n') => at += 1,
            byte if byte == quote && !spans_lines => return at + 1,
            _ if spans_lines && bytes[at..].starts_with(&triple) => {
                // Up to two quotes may stand directly before the closing three.
                let more = bytes[at + 3..]
                    .iter()
                    .take(2)
                    .take_while(|byte| **byte == quote);
                return at + 3 + more.count();
            }
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::too_deep;

    #[test]
    fn a_key_of_a_million_parts_is_refused_wherever_it_hides() {
        let deep = "a.".repeat(1000) + "a";
        for text in [
            format!("[{deep}]"),
            format!("{deep} = 1"),
            format!("x = {{ {deep} = 1 }}"),
            format!("x = {{ y = \"\"\"z\"\"\"\", {deep} = 1 }}"),
            format!("x = 'it''s', {deep}"),
            format!("x = \"open\n{deep} = 1"),
            format!("x = \"ends in a backslash\\\n{deep} = 1"),
        ] {
            assert!(too_deep(&text).is_some(), "{text:.40}");
        }
    }

    #[test]
    fn dots_in_strings_and_comments_do_not_count() {
        let dots = ".".repeat(100);
        let text = format!(
            "# {dots}\nq = \"\\\"{dots}\" # {dots}\nl = '{dots}'\nm = \"\"\"\n{dots}\n\"{dots}\n\"\"\"\n"
        );
        assert_eq!(too_deep(&text), None);
    }
}
