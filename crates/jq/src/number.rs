//! Numbers as jq 1.6 prints them.

use std::io::Write as _;

use firehose_json::RawNumber;

/// Appends a number as jq 1.6 prints it: the fewest digits that tell it from its neighbours, with
/// an exponent when it is small (below 1e-4) or has 16 zeros or more behind its digits; infinite
/// becomes the largest float, NaN `null`.
pub(super) fn render(number: f64, out: &mut Vec<u8>) {
    if number.is_nan() {
        out.extend_from_slice(b"null");
        return;
    }
    let number = number.clamp(f64::MIN, f64::MAX);
    // Rust's exponent form has the fewest digits too: "-1.25e-7".
    let mut text = [0; 32];
    let mut rest = text.as_mut_slice();
    write!(rest, "{number:e}").expect("the longest float takes 24 bytes");
    let unused = rest.len();
    let text = &text[..32 - unused];
    let (sign, text) = text.split_at(usize::from(text[0] == b'-'));
    let mark = text
        .iter()
        .position(|&byte| byte == b'e')
        .unwrap_or(text.len());
    let exponent: i32 = std::str::from_utf8(&text[mark + 1..])
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let mut digits = [0; 20];
    let mut count = 0;
    for &byte in text[..mark].iter().filter(|byte| byte.is_ascii_digit()) {
        digits[count] = byte;
        count += 1;
    }
    let digits = &digits[..count];
    let point = exponent + 1;
    let whole = usize::try_from(point).unwrap_or(0);
    out.extend_from_slice(sign);
    if point <= -4 || whole > count + 15 {
        out.push(digits[0]);
        if count > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        write!(out, "e{exponent:+03}").expect("a vector takes any text");
    } else if point <= 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', point.unsigned_abs() as usize));
        out.extend_from_slice(digits);
    } else if whole >= count {
        out.extend_from_slice(digits);
        out.extend(std::iter::repeat_n(b'0', whole - count));
    } else {
        out.extend_from_slice(&digits[..whole]);
        out.push(b'.');
        out.extend_from_slice(&digits[whole..]);
    }
}

/// Appends a number as jq prints it; integers keep their digits.
pub fn print_number(raw: &RawNumber<'_>, out: &mut Vec<u8>) {
    if raw.integer {
        out.extend_from_slice(raw.text.as_bytes());
    } else if let Some(text) = plain_decimal(raw.text) {
        out.extend_from_slice(text.as_bytes());
    } else {
        render(raw.float(), out);
    }
}

/// The text that jq prints, where that is plain from the text itself: of at most 15 digits
/// every one survives in a float, and only zeros at the end go.
fn plain_decimal(text: &str) -> Option<&str> {
    let (whole, fraction) = text.split_once('.')?;
    let zero = matches!(whole, "0" | "-0");
    if text.len() > 16 || zero || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(number: f64) -> String {
        let mut out = Vec::new();
        render(number, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_printed_as_jq_prints_them() {
        // What jq 1.6 prints for these.
        for (number, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (1e3, "1000"),
            (0.1, "0.1"),
            (100.50, "100.5"),
            (2.5, "2.5"),
            (1e15, "1000000000000000"),
            (1e16, "1e+16"),
            (1.5e17, "1.5e+17"),
            (12_345_678_901_234_567.0, "12345678901234568"),
            (1_234_567_890_123_456_789_012.0, "1234567890123456800000"),
            (0.0001, "0.0001"),
            (0.00025, "0.00025"),
            (0.00001, "1e-05"),
            (1.5e-5, "1.5e-05"),
            (1.1e100, "1.1e+100"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "1.7976931348623157e+308"),
            (f64::NEG_INFINITY, "-1.7976931348623157e+308"),
            (f64::NAN, "null"),
        ] {
            assert_eq!(text(number), expected);
        }
    }

    proptest! {
        #[test]
        fn a_printed_number_reads_back_as_itself(number in any::<f64>()) {
            prop_assume!(number.is_finite());
            prop_assert_eq!(text(number).parse::<f64>().unwrap().to_bits(), number.to_bits());
        }
    }
}
