//! How deep a JSON text nests, without parsing it.
//!
//! Recursive readers overflow the stack on deep nesting, which no handler catches, so those of records are
//! bounded ([`crate::Dialect`]). This scan tells whether a reader gave up because of the depth, even if
//! the text is invalid after that.

/// The deepest nesting of arrays and objects that a record may have.
pub const NESTING_MAX: usize = 128;

/// Whether arrays and objects nest deeper than `max` levels.
///
/// Linear, without recursion or allocation. On text that is no JSON the answer holds up to the
/// first fault, which is as far as any parser reads.
pub fn exceeds(json: &[u8], max: usize) -> bool {
    // A text with few brackets cannot nest deep: this count is vectorised, and most records stop
    // here.
    let brackets = json
        .iter()
        .filter(|&&byte| matches!(byte, b'[' | b'{'))
        .count();
    brackets > max && scan(json, max)
}

fn scan(json: &[u8], max: usize) -> bool {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < json.len() {
        match json[at] {
            b'[' | b'{' => {
                depth += 1;
                if depth > max {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => at = string_end(json, at + 1),
            _ => {}
        }
        at += 1;
    }
    false
}

/// Index of the quote that ends the string whose text starts at `at`, or the length of the text.
fn string_end(json: &[u8], mut at: usize) -> usize {
    while let Some(found) = json
        .get(at..)
        .and_then(|rest| memchr::memchr2(b'"', b'\\', rest))
    {
        at += found;
        if json[at] == b'"' {
            return at;
        }
        at += 2; // the escaped byte, whatever it is
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn depth_counts_arrays_and_objects_together() {
        assert!(!exceeds(br#"[{"a":[1]}]"#, 3));
        assert!(exceeds(br#"[{"a":[1]}]"#, 2));
    }

    #[test]
    fn brackets_side_by_side_do_not_add_up() {
        let flat = "[],".repeat(1000);
        assert!(!exceeds(flat.as_bytes(), 1));
    }

    #[test]
    fn brackets_inside_strings_do_not_count() {
        let text = format!(r#"["{}","\"[[[[","\\",[1]]"#, "[".repeat(500));
        assert!(!exceeds(text.as_bytes(), 2));
        assert!(exceeds(text.as_bytes(), 1));
    }

    #[test]
    fn a_million_open_brackets_are_found_too_deep() {
        assert!(exceeds(&vec![b'['; 1_000_000], NESTING_MAX));
        assert!(exceeds("{\"a\":".repeat(200_000).as_bytes(), NESTING_MAX));
    }

    #[test]
    fn an_unfinished_string_ends_the_scan() {
        let text = format!("{}\"abc\\", "[]".repeat(300));
        assert!(!exceeds(text.as_bytes(), 1));
    }

    proptest! {
        #[test]
        fn the_scan_agrees_with_the_depth_a_text_was_built_with(
            depth in 0_usize..200, text in "[\\[\\]{}\"\\\\a]{0,12}", max in 0_usize..200,
        ) {
            let leaf = serde_json::to_string(&text).unwrap();
            let json = format!("{}{leaf}{}", "[".repeat(depth), "]".repeat(depth));
            prop_assert_eq!(exceeds(json.as_bytes(), max), depth > max);
        }

        #[test]
        fn any_bytes_are_scanned_without_panic(bytes: Vec<u8>, max in 0_usize..8) {
            exceeds(&bytes, max);
        }
    }
}
