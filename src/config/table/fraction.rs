//! Numbers between nothing and all.

use std::ops::RangeInclusive;

use firehose_json::decimal::WrittenNumber;
use toml::de::DeValue;

use super::super::diagnostic::Diagnostic;
use super::Table;

/// Digits behind the point that count.
const DIGITS: i32 = 6;

impl Table<'_> {
    /// A number such as `0.05`, in millionths, as the bounds are.
    pub fn fraction(&mut self, key: &'static str, bounds: RangeInclusive<u32>) -> Option<u32> {
        let (_, value) = self.entry(key)?;
        let text = match value.get_ref() {
            DeValue::Float(number) => number.as_str(),
            DeValue::Integer(number) => number.as_str(),
            _ => {
                self.wrong_type(key, value, "a number such as 0.05");
                return None;
            }
        };
        let number = WrittenNumber::from_string(text.as_bytes());
        let millionths = number.and_then(|number| number.scaled(DIGITS));
        let millionths = millionths.and_then(|(number, _)| u32::try_from(number).ok());
        let within = millionths.filter(|number| bounds.contains(number));
        if within.is_none() {
            let [least, most] = [bounds.start(), bounds.end()].map(|bound| shown(*bound));
            let message = format!("`{key}` is out of bounds");
            let fault = Diagnostic::fault(self.file.place(value.span()), message);
            let help = format!("allowed: {least} to {most}");
            self.file.report(fault.help(help));
        }
        within
    }
}

/// Millionths as a number is written.
fn shown(millionths: u32) -> String {
    let (whole, rest) = (millionths / 1_000_000, millionths % 1_000_000);
    let digits = format!("{rest:06}");
    match digits.trim_end_matches('0') {
        "" => whole.to_string(),
        digits => format!("{whole}.{digits}"),
    }
}
