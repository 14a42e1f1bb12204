//! A prefix as it is evaluated: once a record into a partition's identity, once an object into
//! the prefix of its key.

use super::date_pattern::{DatePattern, Zone};
use super::error_prefix::OBJECT_NAME_BYTES_MAX;
use super::escape;
use super::event_time::Texts;
use super::expression::Part;
use super::fault::{Field, PartitionFault};
use crate::failure::ErrorOutputType;

/// Longest evaluated prefix, in characters (Firehose's limit).
const PREFIX_CHARS_MAX: usize = 512;
/// Longest evaluated prefix, in bytes: with the object's name it stays below S3's 1,024.
const PREFIX_BYTES_MAX: usize = 840;
/// Longest segment of a key between slashes, in bytes: what file systems allow.
const SEGMENT_BYTES_MAX: usize = 255;

/// Firehose's random strings have 11 alphanumeric characters.
const RANDOM_STRING_CHARS: usize = 11;

/// First byte of a hole; the second is its index plus [`HOLE_BASE`]. Values and literals hold no
/// control bytes. Both are ASCII, so that an identity is text, and the second is no dot or slash:
/// 1,024 characters hold fewer than 79 expressions, which ends at `~`.
const HOLE_MARK: u8 = 0x01;
const HOLE_BASE: u8 = b'0';

/// Where the values of a record are found while its identity is written.
pub(super) struct Values<'a> {
    /// The value of the key with that index.
    pub(super) key: &'a dyn Fn(usize) -> &'a [u8],
    /// The texts of the event time, where the prefix uses any.
    pub(super) times: Option<&'a Texts<'a>>,
}

/// A data prefix, compiled.
#[derive(Clone, Debug)]
pub(super) struct Template {
    segments: Vec<Segment>,
    holes: Vec<Hole>,
    /// Characters that the holes take at most, less the two bytes of their marks.
    holes_growth: usize,
}

#[derive(Clone, Debug)]
enum Segment {
    Literal(String),
    Key(usize),
    EventTime(usize),
    Hole(u8),
}

#[derive(Clone, Debug)]
enum Hole {
    Timestamp(DatePattern),
    RandomString,
}

impl Template {
    /// Compiles parts; `key` gives the index of a part that is a key. Returns the patterns of the event
    /// time in order.
    pub(super) fn new(
        parts: Vec<Part>,
        zone: &Zone,
        key: impl Fn(&Part) -> usize,
    ) -> (Self, Vec<DatePattern>) {
        let (mut holes, mut event_times) = (Vec::new(), Vec::new());
        let mut holes_growth = 0;
        let mut segments = Vec::with_capacity(parts.len());
        for part in parts {
            let mut hole = |hole, width: usize| {
                let index =
                    u8::try_from(holes.len()).expect("an expression has at most 1,024 characters");
                holes.push(hole);
                holes_growth += width.saturating_sub(2);
                Segment::Hole(index)
            };
            segments.push(match part {
                Part::Literal(text) => Segment::Literal(text),
                Part::Timestamp(pattern) => {
                    let width = pattern.width_max(zone);
                    hole(Hole::Timestamp(pattern), width)
                }
                Part::RandomString => hole(Hole::RandomString, RANDOM_STRING_CHARS),
                Part::EventTime(pattern) => {
                    event_times.push(pattern);
                    Segment::EventTime(event_times.len() - 1)
                }
                Part::QueryKey(_) | Part::TransformKey(_) => Segment::Key(key(&part)),
                Part::ErrorOutputType => Segment::Literal(String::new()), // refused when parsed
            });
        }
        (
            Self {
                segments,
                holes,
                holes_growth,
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

    /// Appends the identity; `escaped` says how key values go into it.
    pub(super) fn write(&self, values: &Values<'_>, escaped: bool, out: &mut Vec<u8>) {
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

    /// Whether an identity, with its holes at their widest, keeps within the bounds of keys.
    pub(super) fn fits(&self, identity: &[u8]) -> Result<(), String> {
        // Everything fits when even one segment of all bytes and the object's name would.
        if identity.len() + self.holes_growth + OBJECT_NAME_BYTES_MAX <= SEGMENT_BYTES_MAX {
            return Ok(());
        }
        let chars = String::from_utf8_lossy(identity).chars().count() + self.holes_growth;
        if chars > PREFIX_CHARS_MAX {
            return Err(format!(
                "the evaluated prefix is longer than {PREFIX_CHARS_MAX} characters"
            ));
        }
        if identity.len() + self.holes_growth > PREFIX_BYTES_MAX {
            return Err(format!(
                "the evaluated prefix is longer than {PREFIX_BYTES_MAX} bytes"
            ));
        }
        let mut segments = identity.split(|&byte| byte == b'/').rev();
        let last = segments.next().map_or(0, <[u8]>::len) + OBJECT_NAME_BYTES_MAX;
        if segments
            .map(<[u8]>::len)
            .chain([last])
            .any(|length| length > SEGMENT_BYTES_MAX)
        {
            return Err(format!(
                "a part of the evaluated prefix between slashes is longer than {SEGMENT_BYTES_MAX} bytes"
            ));
        }
        Ok(())
    }

    /// Fills the holes of an identity.
    pub(super) fn open(&self, identity: &[u8], zone: &Zone, arrival_ms: i64) -> String {
        let at = zone.at(arrival_ms.div_euclid(1000));
        let mut text = String::with_capacity(identity.len() + self.holes_growth);
        let mut rest = identity;
        while let Some(mark) = memchr::memchr(HOLE_MARK, rest) {
            text.push_str(&String::from_utf8_lossy(&rest[..mark]));
            let index = rest
                .get(mark + 1)
                .map(|byte| usize::from(byte.wrapping_sub(HOLE_BASE)));
            match index.and_then(|index| self.holes.get(index)) {
                Some(Hole::Timestamp(pattern)) => pattern.format(&at, zone, &mut text),
                Some(Hole::RandomString) => random_string(&mut text),
                None => {} // an identity of another configuration: its hole has no text here
            }
            rest = rest.get(mark + 2..).unwrap_or(&[]);
        }
        text.push_str(&String::from_utf8_lossy(rest));
        text
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
            PartitionFault::whole(Field::TimeZone, message)
                .help("an IANA name such as \"Europe/Berlin\" or \"America/New_York\""),
        );
        Zone::utc()
    })
}

/// Faults of a whole prefix: too long, or leading out of the place it is put.
pub(super) fn check(parts: &[Part], zone: &Zone, field: Field, faults: &mut Vec<PartitionFault>) {
    let (mut chars, mut bytes) = (0, 0);
    let mut sample = String::new();
    let at = zone.at(0);
    for part in parts {
        let (width, size) = match part {
            Part::Literal(text) => (text.chars().count(), text.len()),
            Part::Timestamp(pattern) | Part::EventTime(pattern) => {
                (pattern.width_max(zone), pattern.width_max(zone))
            }
            Part::RandomString => (RANDOM_STRING_CHARS, RANDOM_STRING_CHARS),
            Part::ErrorOutputType => {
                let lengths = ErrorOutputType::ALL.map(|kind| kind.as_str().len());
                let longest = lengths.into_iter().max().unwrap_or(0);
                (longest, longest)
            }
            Part::QueryKey(_) | Part::TransformKey(_) => (1, 1),
        };
        (chars, bytes) = (chars + width, bytes + size);
        match part {
            Part::Literal(text) => sample.push_str(text),
            Part::Timestamp(pattern) | Part::EventTime(pattern) => {
                pattern.format(&at, zone, &mut sample);
            }
            Part::RandomString
            | Part::ErrorOutputType
            | Part::QueryKey(_)
            | Part::TransformKey(_) => sample.push('x'),
        }
    }
    if chars > PREFIX_CHARS_MAX || bytes > PREFIX_BYTES_MAX {
        let message = format!(
            "the prefix can become {chars} characters long, more than the {PREFIX_CHARS_MAX} allowed"
        );
        faults.push(PartitionFault::whole(field, message));
    }
    if sample.bytes().any(|byte| byte.is_ascii_control()) {
        faults.push(PartitionFault::whole(
            field,
            "a key cannot hold control characters",
        ));
    }
    match escape::stays_below(sample.as_bytes()) {
        Ok(()) => {}
        Err(escape::Refusal::DotSegment) => faults.push(PartitionFault::whole(
            field,
            "a prefix cannot have a part \".\" or \"..\" between slashes",
        )),
        Err(escape::Refusal::Absolute) => faults.push(
            PartitionFault::whole(field, "a prefix cannot begin with a slash")
                .help("remove the leading slash"),
        ),
    }
}
