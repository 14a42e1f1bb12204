//! How times are read, as the config says it.

use firehose_date_pattern::DateReader;

use super::super::diagnostic::Diagnostic;
use super::super::format::FormatTable;
use super::{Deserializer, MILLIS, NumberUnit, TimeRules};

/// Patterns of times; each is tried on a text that is like none before it.
const FORMATS_MAX: usize = 16;
/// Bytes of one.
const FORMAT_MAX: usize = 255;

const UNITS: [(&str, Option<NumberUnit>); 5] = [
    ("auto", None),
    ("s", Some(NumberUnit::Seconds)),
    ("ms", Some(NumberUnit::Millis)),
    ("us", Some(NumberUnit::Micros)),
    ("ns", Some(NumberUnit::Nanos)),
];

impl FormatTable<'_, '_> {
    /// Which rules `deserializer` names.
    pub(super) fn deserializer(&mut self) -> Option<Deserializer> {
        let words = [("openx", Deserializer::OpenX), ("hive", Deserializer::Hive)];
        self.word_or("deserializer", &words, Deserializer::OpenX)
    }

    /// `timestamp_formats` and `timestamp_unit`.
    pub(super) fn times(&mut self) -> Option<TimeRules> {
        let formats = self.timestamp_formats();
        let unit = self.word_or("timestamp_unit", &UNITS, None);
        let rules = TimeRules {
            formats: formats?,
            unit: unit?,
            whole_millis: false,
        };
        if self.has("timestamp_unit")
            && rules.has_millis()
            && rules.unit != Some(NumberUnit::Millis)
        {
            let message = format!(
                "`timestamp_formats` says \"{MILLIS}\", and `timestamp_unit` something else"
            );
            let help = "numbers have one unit: leave one of them out";
            self.fault(self.place_of("timestamp_unit"), message, Some(help));
            return None;
        }
        Some(rules)
    }

    fn timestamp_formats(&mut self) -> Option<Vec<String>> {
        let key = "timestamp_formats";
        let formats = self.list(key);
        let mut is_sound = true;
        if formats.len() > FORMATS_MAX {
            let message = format!("more than {FORMATS_MAX} patterns");
            self.fault(self.place_of(key), message, None);
            is_sound = false;
        }
        for format in &formats {
            if format.value == MILLIS {
                continue;
            }
            if format.value.len() > FORMAT_MAX {
                let message = format!("a pattern has at most {FORMAT_MAX} bytes");
                self.fault(format.origin.place(None), message, None);
                is_sound = false;
            } else if let Err(fault) = DateReader::parse(&format.value) {
                let place = format.origin.place(Some(fault.at));
                let mut diagnostic = Diagnostic::fault(place, fault.message);
                diagnostic.help = fault.help;
                self.report(diagnostic);
                is_sound = false;
            }
        }
        is_sound.then(|| formats.into_iter().map(|format| format.value).collect())
    }
}
