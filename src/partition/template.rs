//! A prefix as it is evaluated: once a record into a partition's identity, once an object into
//! the prefix of its key.

use firehose_date_pattern::{DatePattern, Zone};

use super::escape;
use super::event_time::FormattedTimes;
use super::expression::{self, PrefixPart};
use super::fault::{PartitionFault, PartitionSetting};
use super::key_rule::{self, KeyRule};
use crate::failure::ErrorOutputType;

/// Firehose's random strings have 11 alphanumeric characters.
const RANDOM_STRING_CHARS: usize = 11;

/// First byte of a hole; the second is its index plus [`HOLE_BASE`]. Values and literals hold no
/// control bytes. Both are ASCII, so that an identity is text, and the second is no dot or slash:
/// 1,024 characters hold fewer than 79 expressions, which ends at `~`.
const HOLE_MARK: u8 = 0x01;
const HOLE_BASE: u8 = b'0';

/// Where the values of a record are found while its identity is written.
pub(super) struct RecordValues<'a> {
    /// The value of the key with that index.
    pub(super) key: &'a dyn Fn(usize) -> &'a [u8],
    /// The texts of the event time, where the prefix uses any.
    pub(super) times: Option<&'a FormattedTimes<'a>>,
}

/// A data prefix, compiled.
#[derive(Clone, Debug)]
pub(super) struct Template {
    segments: Vec<Segment>,
    holes: Vec<Hole>,
    /// Bytes that the holes take at most.
    holes_bytes: usize,
    rule: KeyRule,
}

#[derive(Clone, Debug)]
enum Segment {
    Literal(String),
    Key(usize),
    EventTime(usize),
    Hole(u8),
}

#[derive(Clone, Debug)]
struct Hole {
    fill: HoleFill,
    /// A text as long as any that fills it.
    widest: String,
}

#[derive(Clone, Debug)]
enum HoleFill {
    Timestamp(DatePattern),
    RandomString,
}

impl Template {
    /// Compiles parts; `key` gives the index of a part that is a key. Returns the patterns of the event
    /// time in order, which come behind `times_before` others.
    pub(super) fn new(
        parts: Vec<PrefixPart>,
        times_before: usize,
        zone: &Zone,
        rule: &KeyRule,
        key: impl Fn(&PrefixPart) -> usize,
    ) -> (Self, Vec<DatePattern>) {
        let (mut holes, mut event_times): (Vec<Hole>, _) = (Vec::new(), Vec::new());
        let mut segments = Vec::with_capacity(parts.len());
        for part in parts {
            let widest = widest_of(&part, zone);
            let hole = |fill| {
                let index =
                    u8::try_from(holes.len()).expect("an expression has at most 1,024 characters");
                holes.push(Hole { fill, widest });
                Segment::Hole(index)
            };
            segments.push(match part {
                PrefixPart::Literal(text) => Segment::Literal(text),
                PrefixPart::Timestamp(pattern) => hole(HoleFill::Timestamp(pattern)),
                PrefixPart::RandomString => hole(HoleFill::RandomString),
                PrefixPart::EventTime(pattern) => {
                    event_times.push(pattern);
                    Segment::EventTime(times_before + event_times.len() - 1)
                }
                PrefixPart::QueryKey(_) | PrefixPart::TransformKey(_) => Segment::Key(key(&part)),
                PrefixPart::ErrorOutputType => Segment::Literal(String::new()), // refused when parsed
            });
        }
        (
            Self {
                segments,
                holes_bytes: holes.iter().map(|hole| hole.widest.len()).sum(),
                holes,
                rule: rule.clone(),
            },
            event_times,
        )
    }

    /// Whether every record has the same identity.
    pub(super) fn is_static(&self) -> bool {
        !self
            .segments
            .iter()
            .any(|part| matches!(part, Segment::Key(_) | Segment::EventTime(_)))
    }

    /// The text before the first expression.
    pub(super) fn literal(&self) -> &str {
        match self.segments.first() {
            Some(Segment::Literal(text)) => text,
            _ => "",
        }
    }

    /// Appends the identity; `escaped` says how key values go into it.
    pub(super) fn write(&self, values: &RecordValues<'_>, escaped: bool, out: &mut Vec<u8>) {
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Segment::Key(index) if escaped => escape::escape((values.key)(*index), out),
                Segment::Key(index) => out.extend_from_slice((values.key)(*index)),
                Segment::EventTime(index) => {
                    let text = values.times.map_or("", |times| times.get(*index));
                    out.extend_from_slice(text.as_bytes());
                }
                Segment::Hole(index) => out.extend_from_slice(&[HOLE_MARK, HOLE_BASE + index]),
            }
        }
    }

    /// Whether objects can be written under an identity, with its holes at their widest. `escaped`
    /// says how key values were put into it.
    pub(super) fn fits(&self, identity: &[u8], escaped: bool) -> Result<(), String> {
        let is_plain = escaped && identity.first() != Some(&b'.');
        if is_plain && self.rule.is_short(identity.len() + self.holes_bytes) {
            return Ok(());
        }
        self.rule
            .judge(&self.fill(identity, |hole, text| text.push_str(&hole.widest)))
    }

    /// Fills the holes of an identity.
    pub(super) fn open(&self, identity: &[u8], zone: &Zone, arrival_ms: i64) -> String {
        let at = zone.at(arrival_ms.div_euclid(1000));
        self.fill(identity, |hole, text| match &hole.fill {
            HoleFill::Timestamp(pattern) => pattern.format(&at, zone, text),
            HoleFill::RandomString => random_string(text),
        })
    }

    fn fill(&self, identity: &[u8], mut fill: impl FnMut(&Hole, &mut String)) -> String {
        let mut text = String::with_capacity(identity.len() + self.holes_bytes);
        let mut rest = identity;
        while let Some(mark) = memchr::memchr(HOLE_MARK, rest) {
            text.push_str(&String::from_utf8_lossy(&rest[..mark]));
            let index = rest
                .get(mark + 1)
                .map(|byte| usize::from(byte.wrapping_sub(HOLE_BASE)));
            // A hole of another configuration has no text here.
            if let Some(hole) = index.and_then(|index| self.holes.get(index)) {
                fill(hole, &mut text);
            }
            rest = rest.get(mark + 2..).unwrap_or(&[]);
        }
        text.push_str(&String::from_utf8_lossy(rest));
        text
    }
}

/// A text as long as any that parts become; a key can have one character.
pub(super) fn widest(parts: &[PrefixPart], zone: &Zone) -> String {
    parts.iter().map(|part| widest_of(part, zone)).collect()
}

fn widest_of(part: &PrefixPart, zone: &Zone) -> String {
    match part {
        PrefixPart::Literal(text) => text.clone(),
        PrefixPart::Timestamp(pattern) | PrefixPart::EventTime(pattern) => pattern.widest(zone),
        PrefixPart::RandomString => "x".repeat(RANDOM_STRING_CHARS),
        PrefixPart::ErrorOutputType => {
            let words = ErrorOutputType::ALL.map(ErrorOutputType::as_str);
            let longest = words.into_iter().max_by_key(|word| word.len());
            longest.unwrap_or_default().to_owned()
        }
        PrefixPart::QueryKey(_) | PrefixPart::TransformKey(_) => "x".to_owned(),
    }
}

/// Appends 11 random alphanumeric characters.
pub(super) fn random_string(text: &mut String) {
    text.extend(std::iter::repeat_with(fastrand::alphanumeric).take(RANDOM_STRING_CHARS));
}

/// The zone of that name, or a fault and UTC.
pub(super) fn zone(name: Option<&str>, faults: &mut Vec<PartitionFault>) -> Zone {
    Zone::find(name).unwrap_or_else(|message| {
        faults.push(
            PartitionFault::whole(PartitionSetting::TimeZone, message)
                .help("an IANA name such as \"Europe/Berlin\" or \"America/New_York\""),
        );
        Zone::utc()
    })
}

/// Faults of a whole prefix: too long, or leading out of the place it is put. `is_bare`: it has no
/// expression, so that the default time follows it.
pub(super) fn check(
    parts: &[PrefixPart],
    is_bare: bool,
    zone: &Zone,
    field: PartitionSetting,
    rule: &KeyRule,
    faults: &mut Vec<PartitionFault>,
) {
    let mut fault = |message: &str, help: &str| {
        faults.push(PartitionFault::whole(field, message).help(help));
    };
    let text = widest(parts, zone);
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return fault("a key cannot hold control characters", "remove them");
    }
    match escape::stays_below(text.as_bytes()) {
        Ok(()) => {}
        Err(escape::UnusableKey::DotSegment) => {
            let message = "a prefix cannot have a part \".\" or \"..\" between slashes";
            return fault(message, "write the folder that is meant");
        }
        Err(escape::UnusableKey::Absolute) => {
            let message = "a prefix cannot begin with a slash";
            return fault(message, "remove the leading slash");
        }
    }
    let time = widest_of(&expression::default_time(), zone);
    let appended = if is_bare { time.as_str() } else { "" };
    if let Err((message, help)) = key_rule::check(&text, appended, rule) {
        fault(&message, help);
    }
}
