//! Putting key values into object keys so that no record can climb out of its prefix.

/// Appends a value percent-escaped as Hive escapes partition values (`FileUtils.escapePathName`):
/// control bytes and ``"#%'*/:=?\{[]^`` become `%XX`. Beyond Hive, NUL is escaped too, and a
/// value of dots alone (`.`, `..`), which a path would resolve, has all its dots escaped.
pub(super) fn escape(value: &[u8], out: &mut Vec<u8>) {
    let dots = value.iter().all(|&byte| byte == b'.');
    let mut rest = value;
    while let Some(at) = rest
        .iter()
        .position(|&byte| dots || ESCAPED[usize::from(byte)])
    {
        out.extend_from_slice(&rest[..at]);
        let byte = rest[at];
        out.extend_from_slice(&[b'%', hex(byte >> 4), hex(byte & 15)]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

const fn hex(digit: u8) -> u8 {
    match digit {
        0..=9 => b'0' + digit,
        _ => b'A' + digit - 10,
    }
}

const ESCAPED: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 32 {
        table[byte] = true;
        byte += 1;
    }
    let marks = b"\"#%'*/:=?\\{[]^\x7f";
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
};

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnusableKey {
    /// A segment `.` or `..`.
    DotSegment,
    /// The key begins with a slash.
    Absolute,
}

/// Whether a whole key stays below the place it is put: it neither begins with a slash nor has a
/// segment that a path would resolve.
pub(super) fn stays_below(key: &[u8]) -> Result<(), UnusableKey> {
    if key.first() == Some(&b'/') {
        return Err(UnusableKey::Absolute);
    }
    if key
        .split(|&byte| byte == b'/')
        .any(|segment| matches!(segment, b"." | b".."))
    {
        return Err(UnusableKey::DotSegment);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn escaped(value: &str) -> String {
        let mut out = Vec::new();
        escape(value.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_escaped_as_hive_does() {
        for (value, expected) in [
            ("plain-value_1.2", "plain-value_1.2"),
            ("a/b", "a%2Fb"),
            ("a=b:c", "a%3Db%3Ac"),
            ("50%", "50%25"),
            ("\"#'*?\\{[]^", "%22%23%27%2A%3F%5C%7B%5B%5D%5E"),
            ("}~ &+", "}~ &+"),
            ("tab\tnul\0del\x7f", "tab%09nul%00del%7F"),
            ("grüße", "grüße"),
            ("..", "%2E%2E"),
            (".", "%2E"),
            ("..a", "..a"),
        ] {
            assert_eq!(escaped(value), expected);
        }
    }

    #[test]
    fn a_path_that_would_be_resolved_does_not_stay_below() {
        assert_eq!(stays_below(b"a/../b"), Err(UnusableKey::DotSegment));
        assert_eq!(stays_below(b"a/."), Err(UnusableKey::DotSegment));
        assert_eq!(stays_below(b"/a"), Err(UnusableKey::Absolute));
        assert_eq!(stays_below(b"a/..b/...//c"), Ok(()));
    }

    proptest! {
        #[test]
        fn an_escaped_value_is_one_harmless_segment_and_tells_its_value(value: String) {
            let text = escaped(&value);
            prop_assert!(!text.contains('/'));
            prop_assert!(!text.bytes().any(|byte| byte.is_ascii_control()));
            prop_assert!(text.is_empty() || stays_below(text.as_bytes()).is_ok());
            let mut back = Vec::new();
            let mut rest = text.as_bytes();
            while let [first, tail @ ..] = rest {
                if let (b'%', [high, low, tail @ ..]) = (first, tail) {
                    let digits = [*high, *low];
                    let digits = std::str::from_utf8(&digits).unwrap();
                    back.push(u8::from_str_radix(digits, 16).unwrap());
                    rest = tail;
                } else {
                    back.push(*first);
                    rest = tail;
                }
            }
            prop_assert_eq!(back, value.as_bytes());
        }
    }
}
