//! Numbers: C's conversions to integers, and what libm has where jaq's functions differ from it.

use super::super::value::{Error, Value};

/// What `(int)` makes of a float on the machines that jq runs on.
#[expect(clippy::cast_possible_truncation, reason = "checked")]
pub(crate) fn to_int(float: f64) -> i32 {
    let whole = float.trunc();
    if whole >= f64::from(i32::MIN) && whole <= f64::from(i32::MAX) {
        whole as i32
    } else {
        i32::MIN
    }
}

/// What `(long)` makes of a float.
#[expect(clippy::cast_possible_truncation, reason = "checked")]
pub(crate) fn to_long(float: f64) -> i64 {
    // 2^63, which is the first that is too large.
    const END: f64 = 9_223_372_036_854_775_808.0;
    if (-END..END).contains(&float) {
        float as i64
    } else {
        i64::MIN
    }
}

/// A function of the number that comes in.
pub(super) fn of_number<T>(value: &Value, f: impl FnOnce(f64) -> T) -> Result<T, Error> {
    match value {
        Value::Number(number) => Ok(f(number.float())),
        other => Err(Error::typ(other.clone(), "number")),
    }
}

/// A function of two numbers.
pub(super) fn of_numbers(
    left: &Value,
    right: &Value,
    f: impl FnOnce(f64, f64) -> f64,
) -> Result<Value, Error> {
    let left = of_number(left, |left| left)?;
    of_number(right, |right| Value::float(f(left, right)))
}

/// The exponent of the first bit.
pub(super) fn logb(float: f64) -> f64 {
    match float {
        _ if float.is_nan() => float,
        _ if float.is_infinite() => f64::INFINITY,
        0.0 => f64::NEG_INFINITY,
        _ => f64::from(libm::ilogb(float)),
    }
}

pub(super) fn significand(float: f64) -> f64 {
    if float == 0.0 || !float.is_finite() {
        return float;
    }
    libm::scalbn(float, -libm::ilogb(float))
}

pub(super) fn frexp(float: f64) -> (f64, i32) {
    if float == 0.0 || !float.is_finite() {
        return (float, 0);
    }
    libm::frexp(float)
}

pub(super) fn ldexp(float: f64, exponent: f64) -> f64 {
    libm::ldexp(float, to_int(exponent))
}

/// Exponents beyond those of any float.
const FAR: f64 = 65_000.0;

pub(super) fn scalbln(float: f64, exponent: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "so far that it does not matter")]
    let exponent = to_long(exponent) as f64;
    libm::scalbn(float, to_int(exponent.clamp(-FAR, FAR)))
}

/// `scalb` takes whole exponents only.
pub(super) fn scalb(float: f64, exponent: f64) -> f64 {
    if float.is_nan() || exponent.is_nan() {
        return f64::NAN;
    }
    match exponent {
        f64::INFINITY => float * exponent,
        f64::NEG_INFINITY if float == 0.0 => float,
        f64::NEG_INFINITY => float / -exponent,
        _ if exponent.fract() != 0.0 => f64::NAN,
        _ => libm::scalbn(float, to_int(exponent.clamp(-FAR, FAR))),
    }
}
