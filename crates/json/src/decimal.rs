//! Numbers as JSON writes them, read once into digits and exponent, and what each numeric type makes of
//! them.

/// Powers of ten that a double holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// So many digits fit a 64-bit integer, whatever they are.
const DIGITS_MAX: usize = 19;

/// A number as written.
#[derive(Clone, Copy, Debug)]
pub struct WrittenNumber<'a> {
    /// The text, which has JSON's syntax.
    pub text: &'a [u8],
    negative: bool,
    /// All digits as one integer, if they are few enough to fit.
    digits: Option<u64>,
    /// Power of ten to multiply the digits with.
    exponent: i32,
}

/// What is behind the point, where a number is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remainder {
    Nothing,
    BelowHalf,
    HalfOrMore,
}

impl Remainder {
    const fn of(is_some: bool, is_half: bool) -> Self {
        match (is_some, is_half) {
            (false, _) => Self::Nothing,
            (true, false) => Self::BelowHalf,
            (true, true) => Self::HalfOrMore,
        }
    }
}

impl<'a> WrittenNumber<'a> {
    /// Reads the number that `text` begins with, and its length. The error is an offset.
    #[inline]
    pub fn read(text: &'a [u8]) -> Result<(Self, usize), usize> {
        let negative = text.first() == Some(&b'-');
        let start = usize::from(negative);
        let mut digits = 0;
        let mut at = run(text, start, &mut digits);
        let mut count = at - start;
        if at == start {
            return Err(at);
        }
        if text[start] == b'0' && at > start + 1 {
            return Err(start + 1); // no leading zeros
        }
        let mut exponent = 0;
        if text.get(at) == Some(&b'.') {
            let end = run(text, at + 1, &mut digits);
            count += end - (at + 1);
            if end == at + 1 {
                return Err(end);
            }
            exponent =
                i32::try_from(at + 1).unwrap_or(i32::MAX) - i32::try_from(end).unwrap_or(i32::MAX);
            at = end;
        }
        if let Some(b'e' | b'E') = text.get(at) {
            let (written, end) = read_exponent(text, at + 1)?;
            exponent = exponent.saturating_add(written);
            at = end;
        }
        let digits = (count <= DIGITS_MAX).then_some(digits);
        Ok((
            Self {
                text: &text[..at],
                negative,
                digits,
                exponent,
            },
            at,
        ))
    }

    /// Reads a string's content as a number: as in JSON, but a plus sign and leading zeros may be.
    pub fn from_string(text: &'a [u8]) -> Option<Self> {
        let unsigned = text
            .strip_prefix(b"+")
            .or_else(|| text.strip_prefix(b"-"))
            .unwrap_or(text);
        let zeros = unsigned.iter().take_while(|&&byte| byte == b'0').count();
        let zeros = if unsigned.get(zeros).is_some_and(u8::is_ascii_digit) {
            zeros
        } else {
            zeros.saturating_sub(1)
        };
        let trimmed = &unsigned[zeros..];
        if trimmed.first() == Some(&b'-') {
            return None;
        }
        let (number, length) = Self::read(trimmed).ok()?;
        (length == trimmed.len()).then_some(Self {
            negative: text.first() == Some(&b'-'),
            ..number
        })
    }

    /// The integer, if it is one and fits.
    #[inline]
    pub fn to_i64(self) -> Option<i64> {
        match self.digits {
            Some(digits) if self.exponent == 0 => {
                let value = i64::try_from(digits).ok();
                if self.negative {
                    value.map(|value| -value).or_else(|| lowest(digits))
                } else {
                    value
                }
            }
            _ => {
                let (value, exact) = self.scaled(0)?;
                exact.then(|| i64::try_from(value).ok())?
            }
        }
    }

    /// The nearest double, if the number is within its range.
    #[inline]
    pub fn to_f64(self) -> Option<f64> {
        if let Some(digits) = self.digits
            && digits <= 1 << 53
            && let Some(&power) = EXACT_POWERS.get(self.exponent.unsigned_abs() as usize)
        {
            // Both are exact, so one operation rounds once (Clinger's fast path).
            #[expect(clippy::cast_precision_loss, reason = "at most 53 bits")]
            let value = digits as f64;
            let value = if self.exponent < 0 {
                value / power
            } else {
                value * power
            };
            return Some(if self.negative { -value } else { value });
        }
        let value: f64 = self.unsigned_text()?.parse().ok()?;
        value
            .is_finite()
            .then_some(if self.negative { -value } else { value })
    }

    /// The nearest float, if the number is within its range.
    pub fn to_f32(self) -> Option<f32> {
        let value: f32 = self.unsigned_text()?.parse().ok()?;
        value
            .is_finite()
            .then_some(if self.negative { -value } else { value })
    }

    /// The number times ten to the power of `scale`, rounded half away from zero, and whether nothing
    /// was rounded off; `None` where that is beyond 38 digits.
    pub fn scaled(self, scale: i32) -> Option<(i128, bool)> {
        let (whole, rest) = self.shifted(scale)?;
        let magnitude = whole.checked_add(i128::from(rest == Remainder::HalfOrMore))?;
        Some((self.signed(magnitude), rest == Remainder::Nothing))
    }

    /// The number times ten to the power of `scale`, rounded down; `None` where that is beyond 38
    /// digits.
    pub fn floor(self, scale: i32) -> Option<i128> {
        let (whole, rest) = self.shifted(scale)?;
        let is_past = self.negative && rest != Remainder::Nothing;
        Some(self.signed(whole.checked_add(i128::from(is_past))?))
    }

    const fn signed(self, magnitude: i128) -> i128 {
        if self.negative { -magnitude } else { magnitude }
    }

    /// The magnitude times ten to the power of `scale`, and what of it is behind the point.
    fn shifted(self, scale: i32) -> Option<(i128, Remainder)> {
        let (digits, exponent) = match self.digits {
            Some(digits) => (i128::from(digits), self.exponent),
            None => return self.shifted_long(scale),
        };
        let shift = exponent.saturating_add(scale);
        if shift >= 0 {
            let power = if digits == 0 { 1 } else { power_of_ten(shift)? };
            return Some((digits.checked_mul(power)?, Remainder::Nothing));
        }
        let Some(power) = power_of_ten(shift.saturating_neg()) else {
            return Some((0, Remainder::of(digits != 0, false)));
        };
        let (quotient, rest) = (digits / power, digits % power);
        Some((quotient, Remainder::of(rest != 0, rest >= power - rest)))
    }

    /// The same for more digits than an integer holds: digit by digit.
    fn shifted_long(self, scale: i32) -> Option<(i128, Remainder)> {
        let mantissa = self.text.split(|byte| matches!(byte, b'e' | b'E')).next()?;
        let count = mantissa.iter().filter(|byte| byte.is_ascii_digit()).count();
        let shift = i64::from(self.exponent) + i64::from(scale);
        // So many leading digits stand before the point; the others are behind it.
        let kept = i64::try_from(count).ok()? + shift;
        let (mut value, mut is_half, mut is_some) = (0_i128, false, false);
        for (index, digit) in mantissa
            .iter()
            .filter(|byte| byte.is_ascii_digit())
            .enumerate()
        {
            let digit = i128::from(digit - b'0');
            let index = i64::try_from(index).ok()?;
            if index < kept {
                value = value.checked_mul(10)?.checked_add(digit)?;
            } else {
                is_half |= index == kept && digit >= 5;
                is_some |= digit != 0;
            }
        }
        if shift > 0 && value != 0 {
            value = value.checked_mul(power_of_ten(i32::try_from(shift).ok()?)?)?;
        }
        Some((value, Remainder::of(is_some, is_half)))
    }

    fn unsigned_text(&self) -> Option<&str> {
        let text = self.text.strip_prefix(b"-").unwrap_or(self.text);
        std::str::from_utf8(text).ok()
    }
}

/// Steps over digits from `at` on and takes them into `digits`, which holds `DIGITS_MAX` of them.
#[inline]
fn run(text: &[u8], mut at: usize, digits: &mut u64) -> usize {
    while let Some(digit @ b'0'..=b'9') = text.get(at) {
        *digits = digits
            .wrapping_mul(10)
            .wrapping_add(u64::from(digit - b'0'));
        at += 1;
    }
    at
}

/// Reads an exponent with its sign from `at` on; beyond reason it is cut to what is as good.
fn read_exponent(text: &[u8], mut at: usize) -> Result<(i32, usize), usize> {
    let negative = text.get(at) == Some(&b'-');
    if let Some(b'-' | b'+') = text.get(at) {
        at += 1;
    }
    let start = at;
    let mut exponent = 0_i32;
    while let Some(digit @ b'0'..=b'9') = text.get(at) {
        // No fraction of a record can balance an exponent as large as this.
        exponent = (exponent * 10 + i32::from(digit - b'0')).min(100_000_000);
        at += 1;
    }
    if at == start {
        return Err(at);
    }
    Ok((if negative { -exponent } else { exponent }, at))
}

fn lowest(digits: u64) -> Option<i64> {
    (digits == i64::MIN.unsigned_abs()).then_some(i64::MIN)
}

/// Ten to the power of 0–38.
pub fn power_of_ten(power: i32) -> Option<i128> {
    10_i128.checked_pow(u32::try_from(power).ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::WrittenNumber;

    fn number(text: &str) -> WrittenNumber<'_> {
        let (number, length) = WrittenNumber::read(text.as_bytes()).unwrap();
        assert_eq!(length, text.len());
        number
    }

    #[test]
    fn what_is_no_number_of_json_is_refused_or_left_over() {
        for text in [
            "", "-", "+1", ".5", "-.5", "01", "-00", "1.", "1.e3", "1e", "1e+", "e1",
        ] {
            assert!(WrittenNumber::read(text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(WrittenNumber::read(b"10,").unwrap().1, 2);
        for text in [
            "", "+", "+-1", "--1", " 1", "1 ", "0x10", "1_000", "NaN", "inf", ".5",
        ] {
            assert!(
                WrittenNumber::from_string(text.as_bytes()).is_none(),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn few_digits_and_many_are_rounded_alike(
            text in "-?(0|[1-9][0-9]{0,9})(\\.[0-9]{1,8})?([eE][+-]?[0-9]{1,2})?",
            scale in 0..38_i32,
        ) {
            let short = number(&text);
            let long = WrittenNumber { digits: None, ..short };
            prop_assert_eq!(short.scaled(scale), long.scaled(scale));
            prop_assert_eq!(short.floor(scale), long.floor(scale));
        }

        #[test]
        fn what_is_cut_off_lies_below_one_and_above_the_cut(
            whole in -1_000_000_i64..1_000_000, fraction in "[0-9]{1,30}", cut in 0_usize..6,
        ) {
            prop_assume!(whole != 0);
            let text = format!("{whole}.{fraction}");
            let kept: String = fraction.chars().chain("000000".chars()).take(cut).collect();
            let magnitude: i128 = format!("{}{kept}", whole.abs()).parse().unwrap();
            let is_cut = fraction.bytes().skip(cut).any(|digit| digit != b'0');
            let expected = if whole > 0 { magnitude } else { -magnitude - i128::from(is_cut) };
            prop_assert_eq!(number(&text).floor(cut.try_into().unwrap()), Some(expected));
        }

        #[test]
        fn integers_are_exact(value in any::<i64>(), zeros in 0_usize..4) {
            prop_assert_eq!(number(&value.to_string()).to_i64(), Some(value));
            prop_assert_eq!(number(&format!("{value}.{:0<1$}", "", zeros + 1)).to_i64(), Some(value));
            let padded = format!("{}{:0>width$}", if value < 0 { "-" } else { "+" }, value.unsigned_abs(), width = zeros + 20);
            prop_assert_eq!(WrittenNumber::from_string(padded.as_bytes()).unwrap().to_i64(), Some(value));
        }
    }
}
