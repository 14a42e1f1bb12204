//! Records that are JSON, or nearly.

use serde::de::IgnoredAny;

use super::{Cursor, Texts, elements, is_one, is_text, pieces, several};

/// What is one text, what is several, and where each stands: as another reader sees it.
pub fn json(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).ok();
    assert_eq!(is_text(bytes), text.is_some());
    let by_another = text.map(serde_json::from_str::<IgnoredAny>);
    let is_valid = by_another.is_some_and(|read| read.is_ok());
    assert_eq!(is_one(bytes), is_valid, "one text, or none");
    // What is bounded in depth and in its escapes is no more than the grammar takes.
    let mut cursor = Cursor::new(bytes);
    let is_strict = text.is_some() && cursor.skip(0).is_ok() && cursor.end().is_ok();
    assert!(is_valid || !is_strict, "strict, and not valid");
    let mut ends = Vec::new();
    several(bytes, &mut ends);
    assert_eq!(pieces(bytes), ends.len().max(1), "pieces");
    assert!(ends.is_sorted() && ends.last().is_none_or(|end| *end == bytes.len()));
    let mut start = 0;
    for end in ends {
        assert!(is_one(&bytes[start..end]), "a piece that is no text");
        start = end;
    }
    let Ok(texts) = Texts::of(bytes) else { return };
    for text in texts.map_while(Result::ok) {
        let text = &bytes[text];
        assert!(is_one(text), "a text that is none");
        if text[0] == b'[' {
            let all_are = elements(text).all(|element| is_one(&text[element]));
            assert!(all_are, "an element that is no text");
        }
    }
}
